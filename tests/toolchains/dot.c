/* Compares quotients and a dot product with what NumPy says (in expected.h); ends with 42 if they are equal. */

#include <stdint.h>

#include "expected.h"

static float dot(const float *a, const float *b, unsigned length)
{
    float sum = 0.0f;
    for (unsigned i = 0; i < length; i++)
        sum += a[i] * b[i];
    return sum;
}

static uint32_t bits(float value)
{
    union {
        float value;
        uint32_t bits;
    } both = {.value = value};
    return both.bits;
}

int check(void)
{
    static volatile uint32_t divisor = 10u;
    for (unsigned i = 0; i < LENGTH; i++)
        if (bits(a[i] / b[i]) != quotients[i])
            return 1;
    if (bits(dot(whole, whole + 1, LENGTH - 1)) != whole_dot)
        return 2;
    if (((uint64_t)whole_dot * whole_dot) / divisor != square_tenth)
        return 3;
    return 42;
}
