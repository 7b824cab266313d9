/* exp, log1p and the activations built on them, without libc.
 *
 * exp(x) = 2^(k / 64) * exp(r) with k = round(64 x / ln 2) and |r| <= ln 2 / 128: a table of 64 entries for the first factor and
 * a parabola for the second (relative error of the parabola 2.7e-8). Adding and subtracting 1.5 * 2^23 rounds to an
 * integer, which is also the low bits of the sum. Never compile this with -ffast-math: it would remove the rounding.
 */
#ifndef MAMBA_ACTIVATION_H
#define MAMBA_ACTIVATION_H

#include "bits.h"
#include "divide.h"

#include <stdint.h>

#define EXP_STEPS_PER_OCTAVE 64 /* entries of the table */
#define EXP_OCTAVE_SHIFT     17 /* 23 fraction bits of a float less 6 bits of table index */

/* The float's bits of 2^(i / 64), less i << EXP_OCTAVE_SHIFT: adding k << EXP_OCTAVE_SHIFT gives the bits of 2^(k / 64). */
extern const uint32_t mamba_exp_table[EXP_STEPS_PER_OCTAVE];

static const float exp_rounder = 0x1.8p23f;
static const float exp_linear = 0x1.62e430p-7f, exp_square = 0x1.ebfbe0p-15f; /* ln 2 / 64 and (ln 2 / 64)^2 / 2 */

/* x, or the bound where x is beyond it or no number. fmaxf and fminf are functions of libm where they are no instructions. */
#if defined(__ARM_ARCH_7EM__) && defined(__ARM_FP)
static inline float at_least(float x, float bound) { return __builtin_fmaxf(x, bound); }
static inline float at_most(float x, float bound) { return __builtin_fminf(x, bound); }
#else
static inline float at_least(float x, float bound) { return x > bound ? x : bound; }
static inline float at_most(float x, float bound) { return x < bound ? x : bound; }
#endif

/* 2^(k / 64), where k is the integer in the low bits of rounded = exp_rounder + k. */
static inline float exp2_steps(float rounded)
{
    const uint32_t k = bits_of(rounded);
    return float_of(mamba_exp_table[k % EXP_STEPS_PER_OCTAVE] + (k << EXP_OCTAVE_SHIFT));
}

/* 2^(steps / 64) for steps in [-7900, 0]: the decay exp(dt * A). */
static inline float exp2_decay(float dt, float rate)
{
    const float rounded = dt * rate + exp_rounder;
    const float fraction = dt * rate + (exp_rounder - rounded); /* in [-1/2, 1/2] */
    const float power = exp2_steps(rounded);
    return power + power * (fraction * (exp_linear + fraction * exp_square));
}

/* e^x, at most 2 ulp off for x in [-87, 88]; beyond that x counts as the nearer bound. */
static inline float exp_bounded(float x)
{
    const float steps_per_unit = 0x1.715476p6f; /* 64 / ln 2 */
    const float unit_high = 0x1.62cp-7f, unit_low = 0x1.217f7ep-18f; /* ln 2 / 64 in two parts: k * unit_high is exact */
    x = at_most(at_least(x, -87.0f), 88.0f);
    const float rounded = x * steps_per_unit + exp_rounder;
    const float k = rounded - exp_rounder;
    const float r = (x - k * unit_high) - k * unit_low;
    const float power = exp2_steps(rounded);
    return power + power * (r + 0.5f * r * r);
}

/* log(1 + x), at most 2 ulp off for x in [0, 1]: 2 artanh(s) with s = x / (2 + x) <= 1/3. */
static inline float log1p_unit(float x)
{
    const float s = divide(x, 2.0f + x);
    const float q = s * s;
    const float tail = 0x1.5555p-2f + q * (0x1.99d27cp-3f + q * (0x1.1eb610p-3f + q * 0x1.1ef87ap-3f));
    return 2.0f * (s + s * q * tail);
}

static inline float silu(float x) { return divide(x, 1.0f + exp_bounded(-x)); }

/* log(1 + e^x) without overflow. */
static inline float softplus(float x)
{
    return at_least(x, 0.0f) + log1p_unit(exp_bounded(-__builtin_fabsf(x)));
}

#endif
