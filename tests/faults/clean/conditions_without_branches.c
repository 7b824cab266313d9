/* A value is set only if a flag is set; the compiler computes a condition on both without a branch. */
#include <stdint.h>

struct optional {
    uint32_t valid;
    uint32_t value;
};

static volatile uint32_t large, chosen;

__attribute__((noipa)) static void maybe(struct optional *optional, uint32_t seed)
{
    optional->valid = seed & 1;
    if (optional->valid) optional->value = seed;
}

__attribute__((noipa)) static uint32_t is_large(const struct optional *optional)
{
    return optional->valid & (uint32_t)(optional->value > 3);
}

__attribute__((noipa)) static uint32_t masked(const struct optional *optional)
{
    uint32_t mask = 0u - optional->valid;
    return (optional->value & mask) | (7u & ~mask);
}

__attribute__((noipa)) static void look(uint32_t seed)
{
    struct optional optional;
    maybe(&optional, seed);
    if (is_large(&optional)) large++;
    if (masked(&optional) == 7) chosen++;
}

int main(void)
{
    for (uint32_t seed = 0; seed < 10; seed++) look(seed);
    return large == 3 && chosen == 6 ? 0 : 1;
}
