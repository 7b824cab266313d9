/* The stack pointer: its lowest, and the machine at that moment. */
#include "parts.h"

/* Note that SP goes to its present value plus delta. */
void note_stack(struct probe *probe, uc_engine *uc, uint32_t pc, int32_t delta)
{
    uint32_t sp = read_register(probe, uc, UC_ARM_REG_SP);
    uint32_t lowest = sp + (uint32_t)delta;
    if (lowest >= probe->snapshots[probe->latest_snapshot].lowest)
        return;
    probe->latest_snapshot ^= 1;
    struct snapshot *snapshot = &probe->snapshots[probe->latest_snapshot];
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
    if (lowest < probe->stack_limit)
        stop(probe, uc, STOP_STACK_OVERFLOW);
}
