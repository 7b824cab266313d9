/* Call paths in a hash table. A key is mixed from the facts that distinguish the paths. */
#ifndef EMU_PATHS_H
#define EMU_PATHS_H

#include <stdint.h>

static inline uint64_t mixed(uint64_t key, uint32_t value)
{
    key = (key ^ value) * 0x9e3779b97f4a7c15u;
    return key ^ key >> 29;
}

/* The slot of a key, or the free slot that it would get; slot_count is a power of two. */
static inline uint32_t slot_of(const uint64_t *keys, const uint32_t *numbers, uint32_t slot_count, uint64_t key)
{
    uint32_t slot = (uint32_t)(key >> 32) & (slot_count - 1);
    while (numbers[slot] != 0 && keys[slot] != key)
        slot = (slot + 1) & (slot_count - 1);
    return slot;
}

#endif
