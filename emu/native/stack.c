/* The stack pointer: its lowest, and the machine at that moment. */
#include "parts.h"

static void take_snapshot(
    struct probe *probe, uc_engine *uc, struct snapshot *snapshot, uint32_t pc, uint32_t sp, uint32_t lowest)
{
    snapshot->lowest = lowest;
    snapshot->pc = pc;
    snapshot->block_serial = probe->block_serial;
    for (int i = 0; i <= 12; i++)
        snapshot->registers[i] = read_register(probe, uc, UC_ARM_REG_R0 + i);
    snapshot->registers[13] = sp;
    snapshot->registers[14] = read_register(probe, uc, UC_ARM_REG_LR);
    snapshot->registers[15] = pc;
    uint32_t from = sp < probe->stack_floor ? probe->stack_floor : sp; /* an overflow may have left the memory */
    if (from < probe->stack_top)
        probe->api.mem_read(uc, from, snapshot->stack, probe->stack_top - from);
}

/* Note where SP comes down below the heap's end; whether that is the heap's memory or a stack in it, Python judges. */
static void note_meeting(struct probe *probe, uc_engine *uc, uint32_t pc, uint32_t sp, uint32_t lowest)
{
    bool below = lowest < probe->heap_end;
    if (below && !probe->below_heap_end && !probe->meeting_noted) {
        take_snapshot(probe, uc, &probe->meeting, pc, sp, lowest);
        probe->meeting_noted = 1;
        probe->pause_at = 0;
    }
    probe->below_heap_end = below;
}

/* Note that SP goes to its present value plus delta. */
void note_stack(struct probe *probe, uc_engine *uc, uint32_t pc, int32_t delta)
{
    uint32_t sp = read_register(probe, uc, UC_ARM_REG_SP);
    uint32_t lowest = sp + (uint32_t)delta;
    note_lowest(probe, pc, sp, lowest);
    if (probe->heap_end != 0)
        note_meeting(probe, uc, pc, sp, lowest);
    if (lowest >= probe->snapshots[probe->latest_snapshot].lowest)
        return;
    probe->latest_snapshot ^= 1;
    take_snapshot(probe, uc, &probe->snapshots[probe->latest_snapshot], pc, sp, lowest);
    if (lowest < probe->stack_limit)
        stop(probe, uc, STOP_STACK_OVERFLOW);
}
