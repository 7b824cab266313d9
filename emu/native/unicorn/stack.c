/* The stack pointer: its stack, its lowest value there, and the machine at that moment. */
#include "parts.h"

#define CONTROL_SPSEL 2u

/* The stack's bytes are kept from SP (or floor, if that is higher) up to top. */
static void take_snapshot(struct probe *probe, uc_engine *uc, struct snapshot *snapshot, uint32_t pc, uint32_t sp,
                          uint32_t lowest, uint32_t floor, uint32_t top)
{
    snapshot->lowest = lowest;
    snapshot->pc = pc;
    snapshot->exception = 0;
    snapshot->block_serial = probe->block_serial;
    for (int i = 0; i <= 12; i++)
        snapshot->registers[i] = read_register(probe, uc, UC_ARM_REG_R0 + i);
    snapshot->registers[13] = sp;
    snapshot->registers[14] = read_register(probe, uc, UC_ARM_REG_LR);
    snapshot->registers[15] = pc;
    uint32_t from = sp < floor ? floor : sp; /* an overflow may have left the memory */
    if (from < top)
        probe->api.mem_read(uc, from, snapshot->stack, top - from);
}

/* Note that SP falls below the heap's end; Python judges whether that is heap memory or a stack in the heap. */
static void note_meeting(struct probe *probe, uc_engine *uc, uint32_t pc, uint32_t sp, uint32_t lowest)
{
    bool below = lowest < probe->heap_end;
    if (below && !probe->below_heap_end && !probe->meeting_noted) {
        take_snapshot(probe, uc, &probe->meeting, pc, sp, lowest, probe->stack_floor, probe->stack_top);
        probe->meeting_noted = 1;
        probe->pause_at = 0;
    }
    probe->below_heap_end = below;
}

static const struct snapshot *latest(const struct stack *stack) { return &stack->snapshots[stack->latest_snapshot]; }

/* Note that the current stack's pointer is sp at pc, and that lowest is in use, by instructions or by a pushed frame. */
void note_frame(struct probe *probe, uc_engine *uc, uint32_t pc, uint32_t sp, uint32_t lowest)
{
    struct stack *stack = &probe->stacks[probe->current_stack];
    if (probe->current_stack == RESET_STACK) {
        note_lowest(probe, pc, sp, lowest);
        if (probe->heap_end != 0)
            note_meeting(probe, uc, pc, sp, lowest);
    }
    if (lowest >= latest(stack)->lowest)
        return;
    stack->latest_snapshot ^= 1;
    struct snapshot *snapshot = &stack->snapshots[stack->latest_snapshot];
    take_snapshot(probe, uc, snapshot, pc, sp, lowest, stack->floor, stack->top);
    if (lowest < stack->limit)
        stop(probe, uc, STOP_STACK_OVERFLOW);
}

/* Note that SP goes to its present value plus delta. */
void note_stack(struct probe *probe, uc_engine *uc, uint32_t pc, int32_t delta)
{
    uint32_t sp = read_register(probe, uc, UC_ARM_REG_SP), lowest = sp + (uint32_t)delta;
    struct context *context = running(probe);
    if (lowest < context->lowest)
        context->lowest = lowest;
    note_frame(probe, uc, pc, sp, lowest);
}

/* An SP below the stack's lowest may belong to another stack, in memory that was free until now. */
static bool explains(const struct stack *stack, uint32_t process, uint32_t sp)
{
    return stack->process == process && sp <= stack->top && sp >= stack->limit && sp >= latest(stack)->lowest;
}

/* Whether SP is PSP, and not MSP. */
bool on_process_stack(const struct probe *probe, uc_engine *uc)
{
    return (read_register(probe, uc, UC_ARM_REG_CONTROL) & CONTROL_SPSEL) != 0;
}

/* Find the known stack that SP is on; false if there is none. */
static bool find_stack(struct probe *probe, uc_engine *uc)
{
    uint32_t sp = read_register(probe, uc, UC_ARM_REG_SP), process = on_process_stack(probe, uc);
    if (explains(&probe->stacks[probe->current_stack], process, sp))
        return true;
    for (uint32_t i = probe->stack_count; i-- > 0;)
        if (explains(&probe->stacks[i], process, sp)) {
            probe->current_stack = i;
            return true;
        }
    return false;
}

/* SP may be on another stack before the instruction at pc. */
void follow_stack(struct probe *probe, uc_engine *uc, uint32_t pc)
{
    if (find_stack(probe, uc)) {
        find_context(probe, uc);
        return;
    }
    probe->change_address = pc;
    stop(probe, uc, STOP_STACK_CHANGE);
}
