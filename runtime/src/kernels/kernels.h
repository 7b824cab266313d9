/* The arithmetic that a core's own code may do better than compiled C: one interface for all cores.
 *
 * kernels/portable has every function in C99: the reference and the fallback. A core's own header replaces some functions. For
 * each it defines the name MAMBA_CORE_... that stands next to the function here. To add a core, add a folder, and include its
 * header below.
 */
#ifndef MAMBA_KERNELS_H
#define MAMBA_KERNELS_H

#include <stddef.h>
#include <stdint.h>

#define GROUP 8u /* rows of a matrix, or channels of a block, computed at a time */
#define BLOCK 24u /* columns summed by themselves, a multiple of eight: the longer a sum, the more it loses to rounding */

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

/* x (count) = silu(x) or softplus(x); up to a multiple of four, the floats after x are overwritten. MAMBA_CORE_ACTIVATIONS */
static inline void silu_all(float *x, uint32_t count);
static inline void softplus_all(float *x, uint32_t count);

/* u (count) = silu(bias + weight (count, K) . (tail, x)), the depthwise causal convolution of `count` channels. tail (count, K - 1)
 * holds the inputs before x, oldest first, and moves on. MAMBA_CORE_CONVOLUTION */
static inline void convolve(float *u, const float *x, float *tail, const float *weight, const float *bias, uint32_t K,
                            uint32_t count);

/* convolve() in C, for the shapes that a core's own convolve() does not know. */
static inline void convolve_in_c(float *u, const float *x, float *tail, const float *weight, const float *bias, uint32_t K,
                                 uint32_t count);

/* ---- Loops ---- */

/* sum (group) += weights (columns, group), a column at a time, * x (columns); group is 8 or 4. MAMBA_CORE_BLOCK */
static inline void add_block(float *sum, const float *weight, const float *x, uint32_t columns, uint32_t group);

/* out (group) = bias (group, or NULL) + the sums of add_block() over all columns. Each BLOCK of columns is summed by itself.
 * MAMBA_CORE_ROWS */
static inline void multiply_rows(float *out, const float *bias, const float *weight, const float *x, uint32_t columns,
                                 uint32_t group);

/* sum (count) += x (count). MAMBA_CORE_SUM */
static inline void add_all(float *sum, const float *x, uint32_t count);

/* Channels of the selective scan; rate (N) of a channel is A in the table's steps of the exponent, and N a multiple of four. */
struct scan_channels {
    const float *rate;     /* (count, N) */
    float *state;          /* (count, N) */
    const float *B, *C;    /* (N) each */
    const float *dt;       /* (GROUP + GROUP) the time steps, then the gates */
    float *u;              /* (count) */
    const float *end;      /* of u */
    const float *dt_limit; /* (count) no decay underflows up to this time step */
    const float *skip;     /* (count) */
    uint32_t row_bytes;    /* of N floats */
};

/* state = exp(dt A) state + dt u B, then u = (C . state + skip u) gate, for each channel. MAMBA_CORE_SCAN replaces all of it,
 * and MAMBA_CORE_TIERS the loops over the states of a channel: see portable/scan.h. */
static inline void scan(const struct scan_channels *channels);

/* ---- The core's own functions, then the portable functions for the rest ---- */

#if defined(__XTENSA__)
#include "xtensa/xtensa.h"
#elif defined(__ARM_ARCH_7EM__) && defined(__ARM_FP)
#include "armv7em/armv7em.h"
#endif

#include "portable/activation.h"
#include "portable/convolution.h"
#include "portable/loads.h"
#include "portable/loops.h"
#include "portable/numbers.h"
#include "portable/scan.h"

#endif
