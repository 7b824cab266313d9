/* A float's bits, and back. Xtensa has an instruction for each way, but GCC would go through memory. */
#ifndef MAMBA_BITS_H
#define MAMBA_BITS_H

#include <stdint.h>

static inline uint32_t bits_of(float value)
{
#ifdef __XTENSA__
    uint32_t bits;
    __asm__("rfr %0, %1" : "=a"(bits) : "f"(value));
    return bits;
#else
    const union {
        float value;
        uint32_t bits;
    } same = {value};
    return same.bits;
#endif
}

static inline float float_of(uint32_t bits)
{
#ifdef __XTENSA__
    float value;
    __asm__("wfr %0, %1" : "=f"(value) : "a"(bits));
    return value;
#else
    const union {
        uint32_t bits;
        float value;
    } same = {bits};
    return same.value;
#endif
}

#endif
