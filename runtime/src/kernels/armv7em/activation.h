/* SiLU, softplus and the convolution before SiLU on Armv7E-M with an FPU that has VMAXNM and VMINNM, four values at a time: see
 * kernels.h. The steps are those of portable/activation.h.
 */
#ifndef MAMBA_ARMV7EM_ACTIVATION_H
#define MAMBA_ARMV7EM_ACTIVATION_H

#include "table.h"

/* The registers of four values, and those of the constants. */
#define X          S0_3
#define KEPT       S4_7   /* x itself, for the end */
#define SERIES     S12_15
#define POWER_OF_E S16_19
#define FRACTION   S20_23
#define ROUNDER    s24
#define PER_UNIT   s25 /* steps of the table per unit of x, and below their remainder */
#define LINEAR     s26
#define SQUARE     s27
#define PER_UNIT_LOW s28
#define LOWEST     s30
#define LARGEST    s31

static const float activation_constants[8] = {
    EXP_ROUNDER, 0x1.715476p6f, EXP_LINEAR, EXP_SQUARE, 0x1.4ae0cp-20f, 2.0f, -88.0f, 87.0f,
};

/* POWER_OF_E = e^-X, for X in [-88, 87]; X stays */
#define EXP_OF_MINUS_X                                                                                                 \
    COPY(POWER_OF_E, ALL(ROUNDER))                                                                                     \
    FOUR(vfms, POWER_OF_E, X, ALL(PER_UNIT)) /* rounder + k */                                                         \
    FOUR(vsub, FRACTION, ALL(ROUNDER), POWER_OF_E) /* -k */                                                            \
    FOUR(vfms, FRACTION, X, ALL(PER_UNIT))                                                                             \
    FOUR(vfms, FRACTION, X, ALL(PER_UNIT_LOW))                                                                         \
    FOUR_POWERS(POWER_OF_E, table)                                                                                     \
    COPY(SERIES, ALL(LINEAR))                                                                                          \
    FOUR(vfma, SERIES, FRACTION, ALL(SQUARE))                                                                          \
    FOUR(vmul, FRACTION, FRACTION, SERIES)                                                                             \
    FOUR(vfma, POWER_OF_E, POWER_OF_E, FRACTION)

/* X = X / (1 + e^-X). The dividend is X before it was bounded, so a NaN stays. */
#define SILU                                                                                                           \
    COPY(KEPT, X)                                                                                                      \
    FOUR(vmaxnm, X, X, ALL(LOWEST))                                                                                    \
    FOUR(vminnm, X, X, ALL(LARGEST))                                                                                   \
    EXP_OF_MINUS_X                                                                                                     \
    "vmov.f32 s20, #1.0\n\t"                                                                                           \
    FOUR(vadd, POWER_OF_E, POWER_OF_E, ALL(s20))                                                                       \
    FOUR(vdiv, X, KEPT, POWER_OF_E)

/* X = max(X, 0) + log(1 + e) with e = e^-|X|, as 2 artanh(s) of s = e / (2 + e); s8 to s11 are the series of log1p_unit() */
#define SOFTPLUS                                                                                                       \
    COPY(KEPT, X)                                                                                                      \
    "vabs.f32 s0, s0\n\tvabs.f32 s1, s1\n\tvabs.f32 s2, s2\n\tvabs.f32 s3, s3\n\t"                                     \
    FOUR(vminnm, X, X, ALL(LARGEST))                                                                                   \
    EXP_OF_MINUS_X                                                                                                     \
    FOUR(vadd, X, POWER_OF_E, ALL(s29))                                                                                \
    FOUR(vdiv, X, POWER_OF_E, X) /* s */                                                                               \
    ONE(vsub, s20, s29, s29)                                                                                           \
    FOUR(vmaxnm, KEPT, KEPT, ALL(s20))                                                                                 \
    FOUR(vmul, POWER_OF_E, X, X) /* q = s^2 */                                                                         \
    COPY(SERIES, ALL(s10))                                                                                             \
    FOUR(vfma, SERIES, POWER_OF_E, ALL(s11))                                                                           \
    COPY(FRACTION, ALL(s9))                                                                                            \
    FOUR(vfma, FRACTION, POWER_OF_E, SERIES)                                                                           \
    COPY(SERIES, ALL(s8))                                                                                              \
    FOUR(vfma, SERIES, POWER_OF_E, FRACTION) /* artanh(s) = s + s q SERIES */                                          \
    FOUR(vmul, POWER_OF_E, POWER_OF_E, X)                                                                              \
    FOUR(vfma, X, POWER_OF_E, SERIES)                                                                                  \
    FOUR(vadd, X, X, X)                                                                                                \
    FOUR(vadd, X, X, KEPT)

/* sum = bias + weight (4) . (tail (3), x), and the tail moves on */
#define CONVOLVE(sum)                                                                                                  \
    LOAD_NEXT(bias, sum)                                                                                               \
    LOAD(tail, s8-s10)                                                                                                 \
    LOAD_NEXT(x, s11)                                                                                                  \
    LOAD_NEXT(weight, S12_15)                                                                                          \
    ONE(vfma, sum, s12, s8)                                                                                            \
    ONE(vfma, sum, s13, s9)                                                                                            \
    ONE(vfma, sum, s14, s10)                                                                                           \
    ONE(vfma, sum, s15, s11)                                                                                           \
    STORE_NEXT(tail, s9-s11)

static inline __attribute__((always_inline)) void silu_all(float *x, uint32_t count)
{
    const float *const end = x + count;
    const void *table;
    uint32_t k, entry;
    __asm__ volatile(ADDRESS(table, constants) LOAD(table, s24-s31) ADDRESS(table, exp_table)
                     "1:\n\t"
                     LOAD(x, X)
                     SILU
                     STORE_NEXT(x, X)
                     "cmp   %[x], %[end]\n\t"
                     "blo   1b"
                     : [x] "+r"(x), [k] "=&r"(k), [entry] "=&r"(entry), [table] "=&r"(table)
                     : [end] "r"(end), [constants] "i"(activation_constants), [exp_table] "i"(mamba_exp_table)
                     : ALL_FPU_REGISTERS, "cc", "memory");
}

static inline __attribute__((always_inline)) void softplus_all(float *x, uint32_t count)
{
    static const float series[4] = {LOG1P_SERIES};
    const float *const end = x + count;
    const void *table;
    uint32_t k, entry;
    __asm__ volatile(ADDRESS(table, constants) LOAD(table, s24-s31) ADDRESS(table, exp_table)
                     LOAD(series, S8_11)
                     "1:\n\t"
                     LOAD(x, X)
                     SOFTPLUS
                     STORE_NEXT(x, X)
                     "cmp   %[x], %[end]\n\t"
                     "blo   1b"
                     : [x] "+r"(x), [k] "=&r"(k), [entry] "=&r"(entry), [table] "=&r"(table)
                     : [end] "r"(end), [constants] "i"(activation_constants), [series] "r"(series),
                       [exp_table] "i"(mamba_exp_table)
                     : ALL_FPU_REGISTERS, "cc", "memory");
}

/* A width of four, four channels at a time; the rest in C. */
static inline __attribute__((always_inline)) void convolve(float *u, const float *x, float *tail, const float *weight,
                                                           const float *bias, uint32_t K, uint32_t count)
{
    const float *const end = u + (count & ~3u);
    const void *table;
    uint32_t k, entry;
    if (K == 4 && count >= 4) {
        __asm__ volatile(ADDRESS(table, constants) LOAD(table, s24-s31) ADDRESS(table, exp_table)
                         "1:\n\t"
                         CONVOLVE(s0)
                         CONVOLVE(s1)
                         CONVOLVE(s2)
                         CONVOLVE(s3)
                         SILU
                         STORE_NEXT(u, X)
                         "cmp   %[u], %[end]\n\t"
                         "bne   1b"
                         : [u] "+r"(u), [x] "+r"(x), [tail] "+r"(tail), [weight] "+r"(weight), [bias] "+r"(bias),
                           [k] "=&r"(k), [entry] "=&r"(entry), [table] "=&r"(table)
                         : [end] "r"(end), [constants] "i"(activation_constants), [exp_table] "i"(mamba_exp_table)
                         : ALL_FPU_REGISTERS, "cc", "memory");
        count %= 4;
    }
    convolve_in_c(u, x, tail, weight, bias, K, count);
}

#undef X
#undef KEPT
#undef SERIES
#undef POWER_OF_E
#undef FRACTION
#undef ROUNDER
#undef PER_UNIT
#undef LINEAR
#undef SQUARE
#undef PER_UNIT_LOW
#undef LOWEST
#undef LARGEST
#undef EXP_OF_MINUS_X
#undef SILU
#undef SOFTPLUS
#undef CONVOLVE

#endif
