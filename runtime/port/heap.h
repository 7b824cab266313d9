/* How firmware tells the harness about its heap if the emulator (Renode) cannot follow the allocator's calls: through
 * this struct, found by its symbol `emu_heap`, which the firmware's own allocator, or a wrapper around it
 * (-Wl,--wrap=malloc), keeps up to date. Bytes are those that were asked for.
 */
#ifndef EMU_HEAP_H
#define EMU_HEAP_H

#include <stdint.h>

struct emu_heap {
    uint32_t live;        /* bytes */
    uint32_t peak;        /* the most that `live` ever was */
    uint32_t allocations;
    uint32_t frees;       /* free(NULL) is none */
    uint32_t failures;    /* allocations that were refused */
    uint32_t block;       /* the address of any one block, the first for example; 0 before there was one */
};

extern struct emu_heap emu_heap;

#endif
