/* exp, log1p and the activations built on them, in C99 and without libc: see kernels.h.
 *
 * Never compile this with -ffast-math: it would remove the rounding by exp_rounder.
 */
#ifndef MAMBA_PORTABLE_ACTIVATION_H
#define MAMBA_PORTABLE_ACTIVATION_H

#include "../../exp_table.h"

/* 2^(k / 64) with k in the low bits of rounded = exp_rounder + k. */
static inline float exp2_steps(float rounded)
{
    const uint32_t k = bits_of(rounded);
    return float_of(mamba_exp_table[k % EXP_STEPS_PER_OCTAVE] + (k << EXP_OCTAVE_SHIFT));
}

static inline float exp2_decay(float dt, float rate)
{
    const float rounded = dt * rate + exp_rounder;
    const float fraction = dt * rate + (exp_rounder - rounded); /* in [-1/2, 1/2] */
    const float power = exp2_steps(rounded);
    return power + power * (fraction * (exp_linear + fraction * exp_square));
}

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
    const float series[4] = {LOG1P_SERIES};
    const float tail = series[0] + q * (series[1] + q * (series[2] + q * series[3]));
    return 2.0f * (s + s * q * tail);
}

static inline float silu(float x) { return divide(x, 1.0f + exp_bounded(-x)); }

static inline float softplus(float x)
{
    return at_least(x, 0.0f) + log1p_unit(exp_bounded(-__builtin_fabsf(x)));
}

#ifndef MAMBA_CORE_ACTIVATIONS
static inline void silu_all(float *x, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) x[i] = silu(x[i]);
}

static inline void softplus_all(float *x, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) x[i] = softplus(x[i]);
}
#endif

#endif
