/* A snapshot of the machine: its registers, and the stack from SP on. */
#include <string.h>

#include "parts.h"

/* Keeps the stack's memory from an SP up to the stack's top. */
void keep_stack(struct lowest *machine, const struct stack *stack, uint32_t from)
{
    uint32_t bytes = 0;
    const uint32_t below = plugin.core->below_sp;
    const uint8_t *memory = memory_at(from - below, &bytes);
    if (memory == NULL) memory = memory_at(from, &bytes), machine->stack_start = from;
    else machine->stack_start = from - below;
    if (memory == NULL || machine->stack_start > stack->top) bytes = 0;
    else if (bytes > stack->top - machine->stack_start) bytes = stack->top - machine->stack_start;
    machine->stack_bytes = bytes < STACK_KEPT ? bytes : STACK_KEPT;
    if (machine->stack_bytes > 0) memcpy(machine->stack, memory, machine->stack_bytes);
}

void write_down(struct lowest *machine, const struct stack *stack, uint32_t lowered_at, uint32_t pc)
{
    machine->sp = *plugin.sp;
    machine->lowered_at = lowered_at;
    machine->exception = 0;
    machine->pc = pc;
    plugin.core->capture(machine->registers);
    keep_stack(machine, stack, machine->sp);
}
