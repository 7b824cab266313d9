/* The parts that the engine is compiled with: a bit for each operation with each parameter, 8 * kind + parameter, and bit
 * 56 + type for each type of matrix. An image that needs another part does not open. All parts are there by default. A product
 * that knows its images can leave out the rest: `emu export --header` gives the number.
 */
#ifndef MAMBA_PARTS_H
#define MAMBA_PARTS_H

#include <stdint.h>

#ifndef MAMBA_PARTS
#define MAMBA_PARTS (~0ull)
#endif

/* Whether the engine has a kind of operation (enum mamba_kind) for a parameter less than 8, or for any parameter. */
static inline int mamba_has(uint32_t kind, uint32_t parameter) { return MAMBA_PARTS >> (8u * kind + parameter) & 1u; }
static inline int mamba_has_kind(uint32_t kind) { return (MAMBA_PARTS >> 8u * kind & 0xffu) != 0; }

/* Whether the engine has a type of matrix (enum mamba_matrix_type). */
static inline int mamba_has_type(uint32_t type) { return MAMBA_PARTS >> (56u + type) & 1u; }

#endif
