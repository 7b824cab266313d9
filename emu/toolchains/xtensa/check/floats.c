/* A dot product (a loop of madd.s), a division (div0.s, in libgcc), and products of 64 bits (without muluh). */

#include <stdint.h>

enum { LENGTH = 8 };

static volatile float values[LENGTH] = {0.5f, -1.5f, 2.0f, 3.0f, -4.0f, 5.0f, 0.25f, 8.0f};
static volatile uint32_t ten_million = 10000000u;

static float dot(const float *a, const float *b, unsigned length)
{
    float sum = 0.0f;
    for (unsigned i = 0; i < length; i++)
        sum += a[i] * b[i];
    return sum;
}

int check(void)
{
    float a[LENGTH];
    for (unsigned i = 0; i < LENGTH; i++)
        a[i] = values[i];
    /* 0.25 + 2.25 + 4 + 9 + 16 + 25 + 0.0625 + 64 */
    int floats_are_right = dot(a, a, LENGTH) / values[0] == 241.125f;
    int integers_are_right = ten_million / 10u == 1000000u && (uint64_t)ten_million * ten_million == 100000000000000u;
    return floats_are_right && integers_are_right ? 42 : 1;
}
