/* Matrix times vector, eight rows at a time: each input is loaded once for eight outputs.
 *
 * A matrix (rows, columns) is stored in groups of eight rows as (columns, 8); where rows % 8 is 1 to 4, the last group is
 * (columns, 4), and missing rows are zero. A bias is padded with zeros to a multiple of four.
 */
#ifndef MAMBA_MATRIX_H
#define MAMBA_MATRIX_H

#include <stdint.h>

/* out (8 or 4) = bias (8 or 4, or NULL) + weight (columns, 8 or 4)^T x (columns). `rows` is the number of rows wanted, at most 8;
 * out always has room for the whole group. */
void mamba_rows(float *out, const float *weight, const float *bias, const float *x, uint32_t columns, uint32_t rows);

/* out (rows) = bias (rows, or NULL) + weight (rows, columns) x (columns); with accumulate, added to what out holds. */
void mamba_matrix_vector(float *out, const float *weight, const float *bias, const float *x, uint32_t columns,
                         uint32_t rows, int accumulate);

#endif
