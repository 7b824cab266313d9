/* Small structs in registers have uninitialised upper bits; sums and products use only the lower bits. */
#include <stdint.h>

typedef struct {
    uint8_t a, b;
} pair;
typedef struct {
    int16_t x;
    uint8_t y;
} sample;

static volatile int taken, seed = 5;

__attribute__((noipa)) static pair make_pair(int a) { return (pair){.a = (uint8_t)a, .b = (uint8_t)(a + 1)}; }

__attribute__((noipa)) static sample make_sample(int x)
{
    sample made;
    made.x = (int16_t)x;
    made.y = (uint8_t)(x + 1);
    return made;
}

__attribute__((noipa)) static void offset(pair p, int base)
{
    if (base + p.a > 3) taken++;
    if (base + p.b > 3) taken++;
}

__attribute__((noipa)) static void products(sample p, sample q, int sum)
{
    if (p.x * q.x + sum > 3) taken++;
    if (p.x * q.x > 3) taken++;
    if (sum + p.x > 3) taken++;
}

__attribute__((noipa)) static void bytes(pair p, pair q)
{
    if ((uint8_t)(p.a * q.a + p.b) > 3) taken++;
    if ((uint8_t)(p.b - p.a * q.a) > 3) taken++;
    if (p.a == q.a && p.b == q.b) taken++;
}

__attribute__((noipa)) static uint32_t packed(sample p, sample q)
{
    return (uint16_t)p.x | (uint32_t)(uint16_t)q.x << 16;
}

/* A naked function is assembly: what it pushes is what it hands on. */
__attribute__((noipa)) int sum_of(const int *arguments)
{
    return arguments[0] + arguments[1] + arguments[2] + arguments[3] > 3;
}

__attribute__((naked, noipa)) static int trampoline(int a, int b, int c, int d)
{
    (void)a, (void)b, (void)c, (void)d;
    __asm__ volatile("push {r0-r3, lr}\n mov r0, sp\n bl sum_of\n add sp, #16\n pop {pc}");
}

int main(void)
{
    offset(make_pair(seed), 3);
    products(make_sample(seed), make_sample(7), 2);
    bytes(make_pair(seed), make_pair(seed));
    if (packed(make_sample(seed), make_sample(9)) > 3) taken++;
    if (trampoline(seed, 2, 3, 4)) taken++;
    return 0;
}
