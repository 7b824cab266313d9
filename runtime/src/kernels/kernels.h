/* The arithmetic that a core's own code may do better than compiled C: one interface for all cores.
 *
 * kernels/portable has every function in C99: the reference and the fallback. A core's own header replaces some functions. For
 * each it defines the name MAMBA_CORE_... that stands next to the function here. To add a core, add a folder, and include its
 * header below.
 */
#ifndef MAMBA_KERNELS_H
#define MAMBA_KERNELS_H

#include <stdint.h>

#define GROUP 8u /* rows of a matrix, or channels of a block, computed at a time */
#define BLOCK 16u /* columns summed by themselves, a multiple of eight: the longer a sum, the more it loses to rounding */

/* ---- Numbers ---- */

/* A float's bits, and back. MAMBA_CORE_BITS */
static inline uint32_t bits_of(float value);
static inline float float_of(uint32_t bits);

/* dividend / divisor, rounded to the nearest float. MAMBA_CORE_DIVIDE */
static inline float divide(float dividend, float divisor);

/* x, or the bound if x is beyond it or not a number. MAMBA_CORE_BOUNDS */
static inline float at_least(float x, float bound);
static inline float at_most(float x, float bound);

/* IEEE 754 binary16 to float32. MAMBA_CORE_HALF */
static inline float from_half(uint16_t half);

/* a * b, both less than 2^32. MAMBA_CORE_PRODUCT */
static inline uint64_t product(uint64_t a, uint64_t b);

/* ---- Neighbouring floats: MAMBA_CORE_LOADS ----
 *
 *     LOAD_FOUR(to, from, r0, r1, r2, r3)         to (4) = from (4);  from += 4
 *     LOAD_EIGHT(to, from, r0, ..., r7)           to (8) = from (8);  from += 8
 *
 * The last arguments are consecutive registers of Armv7E-M's FPU. Loads that are in use at the same time need different
 * registers. Other cores ignore the names.
 */

/* ---- Activations ---- */

/* e^x, at most 2 ulp off for x in [-87, 88]; beyond that x counts as the nearer bound. */
static inline float exp_bounded(float x);

/* 2^(steps / 64) with steps = dt * rate in [-7900, 0]: the decay exp(dt * A). */
static inline float exp2_decay(float dt, float rate);

/* x / (1 + e^-x) */
static inline float silu(float x);

/* log(1 + e^x) without overflow. */
static inline float softplus(float x);

/* ---- Loops ---- */

/* sum (group) += weights (columns, group), a column at a time, * x (columns); group is 8 or 4. MAMBA_CORE_BLOCK */
static inline void add_block(float *sum, const float *weight, const float *x, uint32_t columns, uint32_t group);

/* What add_block() does, but each BLOCK of columns is summed by itself, then added. MAMBA_CORE_COLUMNS */
static inline void add_columns(float *sum, const float *weight, const float *x, uint32_t columns, uint32_t group);

/* One channel of the selective scan: state (N) = exp(dt A) state + dt_u B; returns C . state. N is a multiple of four.
 * rate (N) is A in the table's steps of the exponent. MAMBA_CORE_SCAN */
static inline float scan(float *state, const float *rate, const float *B, const float *C, uint32_t N, float dt, float dt_u);

/* ---- The core's own functions, then the portable functions for the rest ---- */

#if defined(__XTENSA__)
#include "xtensa/xtensa.h"
#elif defined(__ARM_ARCH_7EM__) && defined(__ARM_FP)
#include "armv7em/armv7em.h"
#endif

#include "portable/activation.h"
#include "portable/loads.h"
#include "portable/loops.h"
#include "portable/numbers.h"

#endif
