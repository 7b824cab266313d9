/* The innermost loops in C99: see kernels.h. */
#ifndef MAMBA_PORTABLE_LOOPS_H
#define MAMBA_PORTABLE_LOOPS_H

#include "../../unroll.h"

#ifndef MAMBA_CORE_BLOCK
/* sum (group) += weight (group) * value; returns the next column's weights. */
static inline __attribute__((always_inline)) const float *add_column(float *sum, const float *weight, float value,
                                                                     uint32_t group)
{
    float column[GROUP];
    if (group == GROUP) {
        LOAD_EIGHT(column, weight, s16, s17, s18, s19, s20, s21, s22, s23);
    } else {
        LOAD_FOUR(column, weight, s16, s17, s18, s19);
    }
    UNROLLED_FOR(row, group) sum[row] += column[row] * value;
    return weight;
}

static inline __attribute__((always_inline)) void add_block(float *sum, const float *weight, const float *x,
                                                            uint32_t columns, uint32_t group)
{
    const float *const end = x + columns, *const end_of_fours = x + (columns & ~3u);
    for (; x < end_of_fours; x += 4) UNROLLED_FOR(i, 4) weight = add_column(sum, weight, x[i], group);
    for (; x < end; x++) weight = add_column(sum, weight, *x, group);
}
#endif

#ifndef MAMBA_CORE_ROWS
static inline __attribute__((always_inline)) void multiply_rows(float *out, const float *bias, const float *weight,
                                                                const float *x, uint32_t columns, uint32_t group)
{
    float sum[GROUP];
    UNROLLED_FOR(row, group) sum[row] = bias ? bias[row] : 0.0f;
    while (columns > 0) {
        const uint32_t count = columns < BLOCK ? columns : BLOCK;
        float part[GROUP];
        UNROLLED_FOR(row, group) part[row] = 0.0f;
        add_block(part, weight, x, count, group);
        UNROLLED_FOR(row, group) sum[row] += part[row];
        weight += count * group;
        x += count;
        columns -= count;
    }
    UNROLLED_FOR(row, group) out[row] = sum[row];
}
#endif

#ifndef MAMBA_CORE_SUM
static inline void add_all(float *sum, const float *x, uint32_t count)
{
    UNROLLED_FOR(i, count) sum[i] += x[i];
}
#endif

#endif
