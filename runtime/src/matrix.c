#include "matrix.h"

#include "kernels/kernels.h"
#include "unroll.h"

#include <stddef.h>

#define INLINE static inline __attribute__((always_inline)) /* with constant arguments: a kernel for each type and group */

/* column (group) = the next `group` weights of a type other than float32; returns the following weights. */
INLINE const uint8_t *load_column(float *column, const uint8_t *weight, uint32_t group, uint32_t type)
{
    const uint16_t *halves = (const uint16_t *)(const void *)weight;
    const int8_t *bytes = (const int8_t *)weight;
    if (type == MAMBA_FLOAT16) {
        UNROLLED_FOR(row, group) column[row] = from_half(halves[row]);
        return weight + group * sizeof *halves;
    }
    UNROLLED_FOR(row, group) column[row] = (float)bytes[row];
    return weight + group;
}

/* sum (group) += weights of one column (group) * value; returns the next column's weights. */
INLINE const uint8_t *add_column_of_type(float *sum, const uint8_t *weight, float value, uint32_t group, uint32_t type)
{
    float column[GROUP];
    weight = load_column(column, weight, group, type);
    UNROLLED_FOR(row, group) sum[row] += column[row] * value;
    return weight;
}

INLINE void rows_of(uint32_t group, uint32_t type, float *out, const uint8_t *weight, const float *bias, const float *x,
                    uint32_t columns)
{
    if (type == MAMBA_FLOAT32) {
        multiply_rows(out, bias, (const float *)(const void *)weight, x, columns, group);
        return;
    }
    const float *const end = x + columns;
    const float *scale = (const float *)(const void *)weight; /* (group), MAMBA_INT8 only */
    float sum[GROUP];
    UNROLLED_FOR(row, group) sum[row] = bias && type != MAMBA_INT8 ? bias[row] : 0.0f;
    if (type == MAMBA_INT8) weight += group * sizeof *scale;
    for (; x < end; x++) weight = add_column_of_type(sum, weight, *x, group, type);
    if (type == MAMBA_INT8) UNROLLED_FOR(row, group) sum[row] = sum[row] * scale[row] + (bias ? bias[row] : 0.0f);
    UNROLLED_FOR(row, group) out[row] = sum[row];
}

void mamba_rows(float *out, const mamba_matrix *matrix, uint32_t first, uint32_t count, const float *bias, const float *x)
{
    const uint32_t columns = matrix->columns, type = matrix->type;
    const uint8_t *weight = matrix->data + first * (size_t)mamba_row_bytes(type, columns);
    const int whole = count > GROUP / 2u;
    if (bias) bias += first;
    if (type == MAMBA_FLOAT32) {
        if (whole) rows_of(GROUP, MAMBA_FLOAT32, out, weight, bias, x, columns);
        else rows_of(GROUP / 2u, MAMBA_FLOAT32, out, weight, bias, x, columns);
    } else if (type == MAMBA_FLOAT16) {
        if (whole) rows_of(GROUP, MAMBA_FLOAT16, out, weight, bias, x, columns);
        else rows_of(GROUP / 2u, MAMBA_FLOAT16, out, weight, bias, x, columns);
    } else {
        if (whole) rows_of(GROUP, MAMBA_INT8, out, weight, bias, x, columns);
        else rows_of(GROUP / 2u, MAMBA_INT8, out, weight, bias, x, columns);
    }
}

void mamba_matrix_vector(float *out, const mamba_matrix *matrix, uint32_t rows, const float *bias, const float *x,
                         int accumulate)
{
    for (uint32_t first = 0; first < rows; first += GROUP, out += GROUP) {
        const uint32_t count = rows - first < GROUP ? rows - first : GROUP;
        if (count % (GROUP / 2u) == 0 && !accumulate) {
            mamba_rows(out, matrix, first, count, bias, x);
            continue;
        }
        float group[GROUP];
        mamba_rows(group, matrix, first, count, bias, x);
        for (uint32_t row = 0; row < count; row++) out[row] = accumulate ? out[row] + group[row] : group[row];
    }
}
