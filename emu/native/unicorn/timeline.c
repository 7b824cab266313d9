/* The timeline of SP, which is known block by block. */
#include "parts.h"

/* Begin the interval of the next block. */
void next_interval(struct probe *probe, uc_engine *uc)
{
    uint32_t sp = read_register(probe, uc, UC_ARM_REG_SP);
    bool on_it = probe->current_stack == RESET_STACK && sp < probe->stack_top;
    begin_interval(&probe->timeline, probe->instructions, on_it ? sp : probe->stack_top);
}

/* SP was sp at pc, and goes to lowest within the block. */
void note_lowest(struct probe *probe, uint32_t pc, uint32_t sp, uint32_t lowest)
{
    struct timeline *timeline = &probe->timeline;
    if (timeline->count == 0 || lowest >= timeline->lowest[timeline->count - 1])
        return; /* before the first block runs there is no interval */
    uint32_t *current = &timeline->lowest[timeline->count - 1];
    timeline->lowest_before = *current;
    timeline->block_serial = probe->block_serial;
    timeline->pc = pc;
    timeline->sp = sp;
    *current = lowest;
}

/* The current block ran only up to pc. */
void cut_interval(struct probe *probe, const struct code_region *region, uint32_t pc)
{
    struct timeline *timeline = &probe->timeline;
    uint32_t *current = &timeline->lowest[timeline->count - 1];
    if (timeline->block_serial != probe->block_serial || *current < probe->stacks[RESET_STACK].limit)
        return;
    uint32_t lowest = timeline->sp + (uint32_t)lowest_between(region, timeline->pc, pc);
    *current = lowest < timeline->lowest_before ? lowest : timeline->lowest_before;
}
