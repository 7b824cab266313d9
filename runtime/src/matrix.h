/* Matrix times vector, eight rows at a time: each input is loaded once for eight outputs.
 *
 * A matrix (rows, columns) is stored in groups of eight rows as (columns, 8); if rows % 8 is 1 to 4, the last group is
 * (columns, 4), and missing rows are zero. With MAMBA_INT8, each group begins with the float32 scales (8 or 4) of its rows.
 * A bias is padded with zeros to a multiple of four.
 */
#ifndef MAMBA_MATRIX_H
#define MAMBA_MATRIX_H

#include "parts.h"

#include <stdint.h>

/* How the weights are stored; all arithmetic is in float32. */
enum mamba_matrix_type {
    MAMBA_FLOAT32 = 0,
    MAMBA_FLOAT16 = 1, /* IEEE 754 binary16, finite */
    MAMBA_INT8    = 2  /* weight = scale of the row * value in -127..127 */
};

typedef struct mamba_matrix {
    const uint8_t *data;
    uint32_t columns;
    uint32_t type; /* enum mamba_matrix_type */
} mamba_matrix;

/* The type, known at compile time if the engine has only one. */
static inline uint32_t mamba_type(uint32_t type)
{
    switch (MAMBA_PARTS >> 56u) {
    case 1u << MAMBA_FLOAT32: return MAMBA_FLOAT32;
    case 1u << MAMBA_FLOAT16: return MAMBA_FLOAT16;
    case 1u << MAMBA_INT8: return MAMBA_INT8;
    default: return type;
    }
}

/* The bytes that one row adds to a matrix. */
static inline uint64_t mamba_row_bytes(uint32_t type, uint32_t columns)
{
    switch (mamba_type(type)) {
    case MAMBA_FLOAT16: return (uint64_t)columns * 2u;
    case MAMBA_INT8: return (uint64_t)columns + sizeof(float);
    default: return (uint64_t)columns * sizeof(float);
    }
}

/* Eight rows (or the last four) from `first` on: out = bias + matrix x. `first` is a multiple of eight, and `count` the number
 * of rows wanted, at most eight; out has room for the whole group. bias (rows) may be NULL. */
void mamba_rows(float *out, const mamba_matrix *matrix, uint32_t first, uint32_t count, const float *bias, const float *x);

/* out (columns) = one row of the matrix (rows, columns). */
void mamba_matrix_row(float *out, const mamba_matrix *matrix, uint32_t rows, uint32_t row);

/* out (rows) = bias (rows, or NULL) + matrix (rows, columns) x (columns); with accumulate, added to out. */
void mamba_matrix_vector(float *out, const mamba_matrix *matrix, uint32_t rows, const float *bias, const float *x,
                         int accumulate);

#endif
