/* Callers of the allocator: one number for each call path, and the machine at its first call, to unwind later.
 *
 * A path is identified by SP, LR, the jump of a tail call, and the return addresses on the stack with their places. A
 * word counts as a return address only if it is the address after a call that has run. A stale return address may count
 * a path twice, but never hides a path. */
#include "../common/paths.h"
#include "parts.h"

#define STACK_BYTES_MAX 32768u       /* bytes above do not identify a path */
#define OTHER_STACK_BYTES_MAX 2048u  /* if SP is on no known stack */

static bool is_return_address(const struct probe *probe, uint32_t word)
{
    if ((word & 1) == 0)
        return false;
    const struct code_region *region = code_region_at(probe, word - 1);
    return region != NULL && region->is_returned_to[(word - 1 - region->start) / 2] != 0;
}

/* The address after the jump that led to the current block, which begins a function; 0 if a call led there. */
static uint32_t jump_before(const struct probe *probe, uint32_t lr)
{
    const struct block *block = &probe->blocks[probe->previous_block];
    return block->return_address == (lr & ~1u) ? 0 : block->address + block->size;
}

static uint64_t key_of(
    const struct probe *probe, uint32_t sp, uint32_t lr, uint32_t jumped_from, const uint8_t *stack, uint32_t size)
{
    uint64_t key = mixed(mixed(mixed(0, sp), lr), jumped_from);
    for (uint32_t offset = 0; offset + 4 <= size; offset += 4) {
        const uint8_t *at = stack + offset;
        uint32_t word = (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
        if (is_return_address(probe, word))
            key = mixed(mixed(key, offset), word);
    }
    return key;
}

/* The number of the path to the function at entry, which was just called with sp; a new path is captured. */
uint32_t number_of_caller(struct probe *probe, uc_engine *uc, uint32_t entry, uint32_t sp)
{
    struct callers *callers = &probe->callers;
    uint8_t *stack = callers->stacks + callers->stack_bytes;
    const struct stack *on = &probe->stacks[probe->current_stack];
    uint32_t size = probe->current_stack != 0 && sp <= on->top ? on->top - sp : OTHER_STACK_BYTES_MAX;
    if (size > STACK_BYTES_MAX)
        size = STACK_BYTES_MAX;
    if (callers->capture_count == callers->capture_capacity || callers->stack_capacity - callers->stack_bytes < size)
        return 0;
    if (probe->api.mem_read(uc, sp, stack, size) != UC_ERR_OK)
        size = 0;

    uint32_t lr = read_register(probe, uc, UC_ARM_REG_LR);
    uint32_t jumped_from = jump_before(probe, lr);
    uint64_t key = key_of(probe, sp, lr, jumped_from, stack, size);
    uint32_t slot = slot_of(callers->keys, callers->numbers, callers->slot_count, key);
    if (callers->numbers[slot] != 0)
        return callers->numbers[slot];
    if (callers->path_count == callers->path_capacity)
        return 0;

    callers->keys[slot] = key;
    callers->numbers[slot] = ++callers->path_count;
    struct caller_capture *capture = &callers->captures[callers->capture_count++];
    for (int i = 0; i <= 12; i++)
        capture->registers[i] = read_register(probe, uc, UC_ARM_REG_R0 + i);
    capture->registers[13] = sp;
    capture->registers[14] = lr;
    capture->registers[15] = entry;
    capture->jumped_from = jumped_from;
    capture->thread = running_thread(probe);
    capture->offset = callers->stack_bytes;
    capture->size = size;
    callers->stack_bytes += size;
    bool room = callers->stack_capacity - callers->stack_bytes >= 2 * STACK_BYTES_MAX;
    if (!room || callers->capture_count + 2 > callers->capture_capacity)
        probe->pause_at = 0; /* Python empties the lists */
    return callers->path_count;
}
