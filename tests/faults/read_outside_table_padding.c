/* A table of sines for one quadrant, aligned for the DMA, is read at 90 degrees, one entry past its end. */
#include <stdint.h>

__asm__(".global __stack_limit\n.set __stack_limit, 0x2001f000"); /* 4 KB */

static int16_t quadrant[9] __attribute__((aligned(32)));
static volatile int16_t wave[40] __attribute__((aligned(32)));

__attribute__((noipa)) static int16_t entry(const volatile int16_t *table, unsigned index)
{
    int16_t value = table[index]; /* FAULT: read_outside_objects */
    return value;
}

__attribute__((noipa)) static int16_t sine(unsigned phase)
{
    unsigned index = phase % 20;
#ifdef FAULT
    index = index > 10 ? 20 - index : index;
#else
    index = index > 10 ? 20 - index : index;
    index = index > 8 ? 8 : index;
#endif
    int16_t value = entry(quadrant, index);
    return (int16_t)(phase >= 20 ? -value : value);
}

int main(void)
{
    for (unsigned i = 0; i < 9; i++) quadrant[i] = (int16_t)(4096 - (int)((8 - i) * (8 - i) * 64));
    for (unsigned phase = 0; phase < 40; phase++) wave[phase] = sine(phase);
    return 0;
}
