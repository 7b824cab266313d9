/* The selective scan in C99: see kernels.h, and tiers.h for the decays. */
#ifndef MAMBA_PORTABLE_SCAN_H
#define MAMBA_PORTABLE_SCAN_H

#include "../../unroll.h"
#include "../tiers.h"

#ifndef MAMBA_CORE_SCAN
#ifndef MAMBA_CORE_TIERS
enum tier { CUBIC, QUARTIC, EIGHTH, TABLE };

/* exp(dt A) h */
static inline __attribute__((always_inline)) float decayed(enum tier tier, float h, float rate, float step)
{
    const float x = rate * step;
    float q;
    switch (tier) {
    case CUBIC:
        q = x + (CUBIC_C2 + x * CUBIC_C3) * x * x;
        return h + h * q;
    case QUARTIC:
        q = x + (QUARTIC_C2 + x * QUARTIC_C3 + x * x * QUARTIC_C4) * (x * x);
        h += h * q;
        return h + h * q;
    case EIGHTH:
        q = x + (EIGHTH_C2 + x * EIGHTH_C3 + x * x * EIGHTH_C4) * (x * x);
        q = (q + q) + q * q;
        q = (q + q) + q * q;
        h += h * q;
        return h + h * q;
    default: return exp2_decay(step, rate) * h;
    }
}

static inline __attribute__((always_inline)) float scan_tier(enum tier tier, float y, float *state, const float *rate,
                                                             const float *B, const float *C, uint32_t N, float step,
                                                             float dt_u)
{
    for (const float *end = rate + N, *before = state; rate < end; state += 4) {
        float r[4], h[4], b[4], c[4];
        LOAD_FOUR(r, rate, s16, s17, s18, s19);
        LOAD_FOUR(h, before, s20, s21, s22, s23);
        LOAD_FOUR(b, B, s24, s25, s26, s27);
        LOAD_FOUR(c, C, s28, s29, s30, s31);
        UNROLLED_FOR(n, 4) {
            const float next = decayed(tier, h[n], r[n], step) + dt_u * b[n];
            state[n] = next;
            y += next * c[n];
        }
    }
    return y;
}

/* state (N) = exp(dt A) state + dt_u B of one channel in a tier; returns y + C . state. step is dt times the tier's scale, or dt
 * for the table. */
static inline float scan_cubic(float y, float *state, const float *rate, const float *B, const float *C, uint32_t N,
                               float step, float dt_u)
{
    return scan_tier(CUBIC, y, state, rate, B, C, N, step, dt_u);
}

static inline float scan_quartic(float y, float *state, const float *rate, const float *B, const float *C, uint32_t N,
                                 float step, float dt_u)
{
    return scan_tier(QUARTIC, y, state, rate, B, C, N, step, dt_u);
}

static inline float scan_eighth(float y, float *state, const float *rate, const float *B, const float *C, uint32_t N,
                                float step, float dt_u)
{
    return scan_tier(EIGHTH, y, state, rate, B, C, N, step, dt_u);
}

static inline float scan_table(float y, float *state, const float *rate, const float *B, const float *C, uint32_t N,
                               float step, float dt_u)
{
    return scan_tier(TABLE, y, state, rate, B, C, N, step, dt_u);
}
#endif

/* The states of one channel for a time step that may make a decay underflow: an exponent below the table's range counts as its end, 7e-38. */
static __attribute__((noinline)) float scan_long_step(float y, float *state, const float *rate, const float *B, const float *C,
                                                      uint32_t N, float dt, float dt_u)
{
    for (uint32_t n = 0; n < N; n++) {
        const float steps = at_least(dt * rate[n], -7900.0f);
        state[n] = exp2_decay(1.0f, steps) * state[n] + dt_u * B[n];
        y += state[n] * C[n];
    }
    return y;
}

static inline float scan_channel(float y, float *state, const float *rate, const float *B, const float *C, uint32_t N, float dt,
                                 float dt_u, float dt_limit)
{
    if (dt <= dt_limit * CUBIC_SHARE) return scan_cubic(y, state, rate, B, C, N, dt * CUBIC_SCALE, dt_u);
    if (dt <= dt_limit * QUARTIC_SHARE) return scan_quartic(y, state, rate, B, C, N, dt * QUARTIC_SCALE, dt_u);
    if (dt <= dt_limit * EIGHTH_SHARE) return scan_eighth(y, state, rate, B, C, N, dt * EIGHTH_SCALE, dt_u);
    if (dt <= dt_limit) return scan_table(y, state, rate, B, C, N, dt, dt_u);
    return scan_long_step(y, state, rate, B, C, N, dt, dt_u); /* also if dt is not a number */
}

static inline __attribute__((always_inline)) void scan(const struct scan_channels *channels)
{
    const uint32_t N = channels->row_bytes / (uint32_t)sizeof(float);
    const uint32_t count = (uint32_t)(channels->end - channels->u);
    const float *const B = channels->B, *const C = channels->C, *const dt = channels->dt, *const gate = dt + GROUP;
    for (uint32_t i = 0; i < count; i++) {
        float *const state = channels->state + (size_t)i * N;
        const float *const rate = channels->rate + (size_t)i * N;
        const float u = channels->u[i];
        channels->u[i] =
            scan_channel(channels->skip[i] * u, state, rate, B, C, N, dt[i], dt[i] * u, channels->dt_limit[i]) * gate[i];
    }
}
#endif

#endif
