/* Code before the C library: the vector table, and the copy of the initial values of variables. */
#include <stdint.h>

extern uint32_t _estack[], _data_start[], _data_end[], _data_load[];

void _start(void); /* in the C library: clears .bss and calls main() */
void reset_handler(void);

__attribute__((section(".isr_vector"), used)) static const uintptr_t vectors[2] = {
    (uintptr_t)_estack, (uintptr_t)reset_handler};

void reset_handler(void)
{
    const uint32_t *from = _data_load;
    for (uint32_t *to = _data_start; to < _data_end; to++) *to = *from++;
    _start();
}
