/* Numbers in C99: see kernels.h. */
#ifndef MAMBA_PORTABLE_NUMBERS_H
#define MAMBA_PORTABLE_NUMBERS_H

#ifndef MAMBA_CORE_BITS
static inline uint32_t bits_of(float value)
{
    const union {
        float value;
        uint32_t bits;
    } same = {value};
    return same.bits;
}

static inline float float_of(uint32_t bits)
{
    const union {
        uint32_t bits;
        float value;
    } same = {bits};
    return same.value;
}
#endif

#ifndef MAMBA_CORE_DIVIDE
static inline float divide(float dividend, float divisor) { return dividend / divisor; }
#endif

#ifndef MAMBA_CORE_BOUNDS
static inline float at_least(float x, float bound) { return x > bound ? x : bound; }
static inline float at_most(float x, float bound) { return x < bound ? x : bound; }
#endif

#ifndef MAMBA_CORE_HALF
/* A multiplication rebiases the exponent, of subnormals too. The mask keeps one of the copies of the sign. */
static inline float from_half(uint16_t half)
{
    return float_of((uint32_t)(int16_t)half << 13 & 0x8fffe000u) * 0x1p112f;
}
#endif

#ifndef MAMBA_CORE_PRODUCT
static inline uint64_t product(uint64_t a, uint64_t b) { return a * b; }
#endif

#endif
