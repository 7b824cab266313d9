/* Rows of a float32 matrix times a vector on Armv7E-M with FPU: see kernels.h. One VLDMIA loads sixteen weights, and another
 * loads eight inputs: eight columns of eight rows are 69 instructions for 64 products.
 */
#ifndef MAMBA_ARMV7EM_ROWS_H
#define MAMBA_ARMV7EM_ROWS_H

#include "instructions.h"

#if BLOCK != 24
#error "IN_BLOCKS has blocks of 24 columns"
#endif

static const float eight_zeros[8] = {0.0f};

/* Eight rows: s0 to s7 are the sums, s8 to s23 two columns of weights, s24 to s31 eight inputs. */
#define EIGHT_BY_ONE(x, w, v) FOUR(vfma, S0_3, w, ALL(x)) FOUR(vfma, S4_7, v, ALL(x))
#define EIGHT_BY_TWO(x0, x1)                                                                                           \
    LOAD_NEXT(weight, s8-s23)                                                                                          \
    EIGHT_BY_ONE(x0, S8_11, S12_15) EIGHT_BY_ONE(x1, S16_19, S20_23)
#define EIGHT_BY_FOUR  LOAD_NEXT(x, s24-s27) EIGHT_BY_TWO(s24, s25) EIGHT_BY_TWO(s26, s27)
#define EIGHT_BY_EIGHT                                                                                                 \
    LOAD_NEXT(x, s24-s31)                                                                                              \
    EIGHT_BY_TWO(s24, s25) EIGHT_BY_TWO(s26, s27) EIGHT_BY_TWO(s28, s29) EIGHT_BY_TWO(s30, s31)
#define EIGHT_BY_LAST                                                                                                  \
    LOAD_NEXT(x, s24) LOAD_NEXT(weight, s8-s15) EIGHT_BY_ONE(s24, S8_11, S12_15)
#define EIGHT_MORE                                                                                                     \
    LOAD(out, s8-s15)                                                                                                  \
    FOUR(vadd, S0_3, S0_3, S8_11)                                                                                      \
    FOUR(vadd, S4_7, S4_7, S12_15)

/* Four rows: s0 to s3 are the sums, s4 to s7 four inputs, s8 to s23 four columns of weights. */
#define FOUR_BY_FOUR                                                                                                   \
    LOAD_NEXT(x, s4-s7) LOAD_NEXT(weight, s8-s23)                                                                      \
    FOUR(vfma, S0_3, S8_11, ALL(s4)) FOUR(vfma, S0_3, S12_15, ALL(s5))                                                 \
    FOUR(vfma, S0_3, S16_19, ALL(s6)) FOUR(vfma, S0_3, S20_23, ALL(s7))
#define FOUR_BY_EIGHT  FOUR_BY_FOUR FOUR_BY_FOUR
#define FOUR_BY_LAST                                                                                                   \
    LOAD_NEXT(x, s4) LOAD_NEXT(weight, s8-s11) FOUR(vfma, S0_3, S8_11, ALL(s4))
#define FOUR_MORE                                                                                                      \
    LOAD(out, s8-s11) FOUR(vadd, S0_3, S0_3, S8_11)

/* out = bias + weights x in blocks of 24 columns. The first block begins with the bias; later blocks begin with 0, and `more`
 * adds the earlier blocks. */
#define IN_BLOCKS(sums, by_eight, by_four, by_last, more)                                                              \
    __asm__ volatile(LOAD(start, sums)                                                                                 \
                     "subs  %[columns], %[columns], #24\n\t"                                                           \
                     "blo   3f\n"                                                                                      \
                     "1:\n\t"                                                                                          \
                     by_eight                                                                                          \
                     by_eight                                                                                          \
                     by_eight                                                                                          \
                     "cbz   %[later], 2f\n\t"                                                                          \
                     more                                                                                              \
                     "2:\n\t"                                                                                          \
                     STORE(out, sums)                                                                                  \
                     "movs  %[later], #1\n\t"                                                                          \
                     "mov   %[start], %[zeros]\n\t"                                                                    \
                     LOAD(start, sums)                                                                                 \
                     "subs  %[columns], %[columns], #24\n\t"                                                           \
                     "bhs   1b\n"                                                                                      \
                     "3:\n\t" /* columns % 24 are left for the last block */                                           \
                     "adds  %[columns], %[columns], #24\n\t"                                                           \
                     "beq   9f\n\t"                                                                                    \
                     "subs  %[columns], %[columns], #8\n\t"                                                            \
                     "blo   4f\n\t"                                                                                    \
                     by_eight                                                                                          \
                     "subs  %[columns], %[columns], #8\n\t"                                                            \
                     "blo   4f\n\t"                                                                                    \
                     by_eight                                                                                          \
                     "subs  %[columns], %[columns], #8\n\t"                                                            \
                     "4:\n\t" /* columns % 8 - 8 */                                                                    \
                     "tst   %[columns], #4\n\t"                                                                        \
                     "beq   5f\n\t"                                                                                    \
                     by_four                                                                                           \
                     "5:\n\t"                                                                                          \
                     "ands  %[columns], %[columns], #3\n\t"                                                            \
                     "beq   7f\n"                                                                                      \
                     "6:\n\t"                                                                                          \
                     by_last                                                                                           \
                     "subs  %[columns], %[columns], #1\n\t"                                                            \
                     "bne   6b\n"                                                                                      \
                     "7:\n\t"                                                                                          \
                     "cbz   %[later], 8f\n\t"                                                                          \
                     more                                                                                              \
                     "8:\n\t"                                                                                          \
                     STORE(out, sums)                                                                                  \
                     "9:"                                                                                              \
                     : [weight] "+r"(weight), [x] "+r"(x), [columns] "+r"(columns), [start] "+r"(start),               \
                       [later] "+l"(later)                                                                             \
                     : [out] "r"(out), [zeros] "r"(eight_zeros)                                                        \
                     : ALL_FPU_REGISTERS, "cc", "memory")

static inline __attribute__((always_inline)) void multiply_rows(float *out, const float *bias, const float *weight,
                                                                const float *x, uint32_t columns, uint32_t group)
{
    const float *start = bias ? bias : eight_zeros;
    uint32_t later = 0; /* 1 after the first block */
    if (group == GROUP) IN_BLOCKS(s0-s7, EIGHT_BY_EIGHT, EIGHT_BY_FOUR, EIGHT_BY_LAST, EIGHT_MORE);
    else IN_BLOCKS(s0-s3, FOUR_BY_EIGHT, FOUR_BY_FOUR, FOUR_BY_LAST, FOUR_MORE);
}

#undef EIGHT_BY_ONE
#undef EIGHT_BY_TWO
#undef EIGHT_BY_FOUR
#undef EIGHT_BY_EIGHT
#undef EIGHT_BY_LAST
#undef EIGHT_MORE
#undef FOUR_BY_FOUR
#undef FOUR_BY_EIGHT
#undef FOUR_BY_LAST
#undef FOUR_MORE
#undef IN_BLOCKS

static inline void add_all(float *sum, const float *x, uint32_t count)
{
    const float *const end = sum + (count & ~7u);
    while (sum != end) {
        __asm__ volatile(LOAD(sum, s0-s7)
                         LOAD_NEXT(x, s8-s15)
                         FOUR(vadd, S0_3, S0_3, S8_11)
                         FOUR(vadd, S4_7, S4_7, S12_15)
                         STORE_NEXT(sum, s0-s7)
                         : [sum] "+r"(sum), [x] "+r"(x)
                         :
                         : "s0", "s1", "s2", "s3", "s4", "s5", "s6", "s7", "s8", "s9", "s10", "s11", "s12", "s13", "s14",
                           "s15", "memory");
    }
    for (uint32_t i = 0; i < count % 8; i++) sum[i] += x[i];
}

#endif
