/* A snapshot of the machine: its registers, and the stack from SP on. */
#include <string.h>

#include "parts.h"

void write_down(struct lowest *machine, uint32_t lowered_at, uint32_t pc)
{
    const uint32_t sp = machine->sp = *plugin.sp;
    machine->lowered_at = lowered_at;
    machine->pc = pc;
    plugin.core->capture(machine->registers);
    const uint32_t room = sp - plugin.stack_floor, below = plugin.core->below_sp;
    machine->stack_start = sp - (room < below ? room : below);
    const uint32_t used = plugin.stack_top - machine->stack_start;
    machine->stack_bytes = used < STACK_KEPT ? used : STACK_KEPT;
    memcpy(machine->stack, plugin.stack + (machine->stack_start - plugin.stack_floor), machine->stack_bytes);
}
