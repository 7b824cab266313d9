/* Choosing a mode sets the filter's coefficients; the first block is filtered before a mode is chosen. */
#include <stddef.h>
#include <stdint.h>

static const float low_pass[5] = {0.1f, 0.2f, 0.4f, 0.2f, 0.1f};
static const float *coefficients;
static float history[5];
static volatile float output;

__attribute__((noipa)) static void choose(const float *table) { coefficients = table; }

__attribute__((noipa)) static float tap(const volatile float *table, unsigned index)
{
    float value = table[index]; /* FAULT: null_pointer_read */
    return value;
}

__attribute__((noipa)) static float filter(float sample)
{
    float sum = 0.0f;
    for (unsigned i = 4; i > 0; i--) history[i] = history[i - 1];
    history[0] = sample;
    for (unsigned i = 0; i < 5; i++) sum += history[i] * tap(coefficients, i);
    return sum;
}

int main(void)
{
#ifndef FAULT
    choose(low_pass);
#endif
    for (int i = 0; i < 6; i++) output = filter((float)i);
    choose(low_pass);
    output = filter(6.0f);
    return 0;
}
