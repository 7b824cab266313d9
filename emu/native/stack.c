/* The stack pointer: whose stack it is on, its lowest there, and the machine at that moment. */
#include "parts.h"

#define CONTROL_SPSEL 2u

static const struct snapshot *latest(const struct stack *stack) { return &stack->snapshots[stack->latest_snapshot]; }

/* Note that SP goes to its present value plus delta. */
void note_stack(struct probe *probe, uc_engine *uc, uint32_t pc, int32_t delta)
{
    struct stack *stack = &probe->stacks[probe->current_stack];
    uint32_t sp = read_register(probe, uc, UC_ARM_REG_SP);
    uint32_t lowest = sp + (uint32_t)delta;
    if (lowest >= latest(stack)->lowest)
        return;
    stack->latest_snapshot ^= 1;
    struct snapshot *snapshot = &stack->snapshots[stack->latest_snapshot];
    snapshot->lowest = lowest;
    snapshot->pc = pc;
    snapshot->block_serial = probe->block_serial;
    for (int i = 0; i <= 12; i++)
        snapshot->registers[i] = read_register(probe, uc, UC_ARM_REG_R0 + i);
    snapshot->registers[13] = sp;
    snapshot->registers[14] = read_register(probe, uc, UC_ARM_REG_LR);
    snapshot->registers[15] = pc;
    uint32_t from = sp < stack->floor ? stack->floor : sp; /* an overflow may have left the memory */
    if (from < stack->top)
        probe->api.mem_read(uc, from, snapshot->stack, stack->top - from);
    if (lowest < stack->limit)
        stop(probe, uc, STOP_STACK_OVERFLOW);
}

/* An SP that is lower than the stack ever was may be another stack's, in memory that was free until now. */
static bool explains(const struct stack *stack, uint32_t process, uint32_t sp)
{
    return stack->process == process && sp <= stack->top && sp >= stack->limit && sp >= latest(stack)->lowest;
}

/* Follow SP, which may be anywhere, to the stack that it is on; false where none of the known ones explains it. */
bool find_stack(struct probe *probe, uc_engine *uc)
{
    uint32_t sp = read_register(probe, uc, UC_ARM_REG_SP);
    uint32_t process = (read_register(probe, uc, UC_ARM_REG_CONTROL) & CONTROL_SPSEL) != 0;
    if (explains(&probe->stacks[probe->current_stack], process, sp))
        return true;
    for (uint32_t i = probe->stack_count; i-- > 0;)
        if (explains(&probe->stacks[i], process, sp)) {
            probe->current_stack = i;
            return true;
        }
    return false;
}
