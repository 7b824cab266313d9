#include "matrix.h"

#include "load.h"
#include "unroll.h"

#include <stddef.h>

#define GROUP 8u

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

static inline __attribute__((always_inline)) void rows_of(uint32_t group, float *out, const float *weight,
                                                          const float *bias, const float *x, uint32_t columns)
{
    float sum[GROUP];
    UNROLLED_FOR(row, group) sum[row] = bias ? bias[row] : 0.0f;
    const float *const end = x + columns, *const end_of_fours = x + (columns & ~3u);
    for (; x < end_of_fours; x += 4) UNROLLED_FOR(i, 4) weight = add_column(sum, weight, x[i], group);
    for (; x < end; x++) weight = add_column(sum, weight, *x, group);
    UNROLLED_FOR(row, group) out[row] = sum[row];
}

void mamba_rows(float *out, const float *weight, const float *bias, const float *x, uint32_t columns, uint32_t rows)
{
    if (rows > GROUP / 2u) {
        rows_of(GROUP, out, weight, bias, x, columns);
    } else {
        rows_of(GROUP / 2u, out, weight, bias, x, columns);
    }
}

void mamba_matrix_vector(float *out, const float *weight, const float *bias, const float *x, uint32_t columns,
                         uint32_t rows, int accumulate)
{
    float group[GROUP];
    for (uint32_t first = 0; first < rows; first += GROUP) {
        const uint32_t count = rows - first < GROUP ? rows - first : GROUP;
        mamba_rows(group, weight + (size_t)first * columns, bias ? bias + first : 0, x, columns, count);
        for (uint32_t row = 0; row < count; row++) {
            out[first + row] = accumulate ? out[first + row] + group[row] : group[row];
        }
    }
}
