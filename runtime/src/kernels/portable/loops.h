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

#ifndef MAMBA_CORE_COLUMNS
static inline __attribute__((always_inline)) void add_columns(float *sum, const float *weight, const float *x,
                                                              uint32_t columns, uint32_t group)
{
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
}
#endif

#ifndef MAMBA_CORE_SCAN
static inline float scan(float *state, const float *rate, const float *B, const float *C, uint32_t N, float dt, float dt_u)
{
    float y = 0.0f;
    for (const float *end = rate + N, *before = state; rate < end; state += 4) {
        float r[4], h[4], b[4], c[4];
        LOAD_FOUR(r, rate, s16, s17, s18, s19);
        LOAD_FOUR(h, before, s20, s21, s22, s23);
        LOAD_FOUR(b, B, s24, s25, s26, s27);
        LOAD_FOUR(c, C, s28, s29, s30, s31);
        UNROLLED_FOR(n, 4) {
            const float next = exp2_decay(dt, r[n]) * h[n] + dt_u * b[n];
            state[n] = next;
            y += next * c[n];
        }
    }
    return y;
}
#endif

#endif
