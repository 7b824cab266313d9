/* The engine's quotients and the port's square roots of numbers whose bits the test knows; none of them is NaN. */
#include "kernels/kernels.h"

#define COUNT 500

void emu_yield(void);
float sqrtf(float x);

uint32_t quotients[COUNT], roots[COUNT];

/* Bits of a finite float, spread by a linear congruence. */
static uint32_t next(uint32_t *state)
{
    *state = *state * 1664525u + 1013904223u;
    return (*state & 0x7f800000u) == 0x7f800000u ? *state & 0xbfffffffu : *state;
}

int main(void)
{
    emu_yield();
    for (uint32_t i = 0, state = 1; i < COUNT; i++) {
        const float dividend = float_of(next(&state)), divisor = float_of(next(&state));
        quotients[i] = bits_of(divide(dividend, divisor));
        roots[i] = bits_of(sqrtf(float_of(bits_of(divisor) & 0x7fffffffu)));
    }
    emu_yield();
    return 0;
}
