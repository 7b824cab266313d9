/* The innermost loops on an Xtensa LX with FPU: see kernels.h. LOOP repeats a body without a branch; LSIP and SSIP advance
 * their pointer. GCC uses none of the three here: it gives up LOOP around inline assembly, and does not know LSIP and SSIP.
 */
#ifndef MAMBA_XTENSA_LOOPS_H
#define MAMBA_XTENSA_LOOPS_H

#include "../../exp_table.h"
#include "../tiers.h"

#if EXP_STEPS_PER_OCTAVE != 64 || EXP_OCTAVE_SHIFT != 17
#error "scan_table() holds these numbers too: change them there"
#endif

/* sum (8) += weights (columns, 8) x (columns) */
static inline __attribute__((always_inline)) void add_columns_of_eight(float *sum, const float *weight, const float *x,
                                                                              uint32_t columns)
{
    const float(*const weights)[] = (const float(*)[])weight, (*const values)[] = (const float(*)[])x;
    float value, w0, w1, w2, w3, w4, w5;
    __asm__("loopnez %[columns], 1f\n\t"
            "lsip   %[value], %[x], 4\n\t"
            "lsip   %[w0], %[weight], 4\n\t"
            "lsip   %[w1], %[weight], 4\n\t"
            "lsip   %[w2], %[weight], 4\n\t"
            "lsip   %[w3], %[weight], 4\n\t"
            "lsip   %[w4], %[weight], 4\n\t"
            "lsip   %[w5], %[weight], 4\n\t"
            "madd.s %[s0], %[w0], %[value]\n\t"
            "lsip   %[w0], %[weight], 4\n\t"
            "madd.s %[s1], %[w1], %[value]\n\t"
            "lsip   %[w1], %[weight], 4\n\t"
            "madd.s %[s2], %[w2], %[value]\n\t"
            "madd.s %[s3], %[w3], %[value]\n\t"
            "madd.s %[s4], %[w4], %[value]\n\t"
            "madd.s %[s5], %[w5], %[value]\n\t"
            "madd.s %[s6], %[w0], %[value]\n\t"
            "madd.s %[s7], %[w1], %[value]\n"
            "1:"
            : [s0] "+f"(sum[0]), [s1] "+f"(sum[1]), [s2] "+f"(sum[2]), [s3] "+f"(sum[3]), [s4] "+f"(sum[4]),
              [s5] "+f"(sum[5]), [s6] "+f"(sum[6]), [s7] "+f"(sum[7]), [weight] "+a"(weight), [x] "+a"(x),
              [value] "=&f"(value), [w0] "=&f"(w0), [w1] "=&f"(w1), [w2] "=&f"(w2), [w3] "=&f"(w3), [w4] "=&f"(w4),
              [w5] "=&f"(w5)
            : [columns] "a"(columns), "m"(*weights), "m"(*values));
}

/* sum (4) += weights (columns, 4) x (columns) */
static inline __attribute__((always_inline)) void add_columns_of_four(float *sum, const float *weight, const float *x,
                                                                             uint32_t columns)
{
    const float(*const weights)[] = (const float(*)[])weight, (*const values)[] = (const float(*)[])x;
    float value, w0, w1, w2, w3;
    __asm__("loopnez %[columns], 1f\n\t"
            "lsip   %[value], %[x], 4\n\t"
            "lsip   %[w0], %[weight], 4\n\t"
            "lsip   %[w1], %[weight], 4\n\t"
            "lsip   %[w2], %[weight], 4\n\t"
            "lsip   %[w3], %[weight], 4\n\t"
            "madd.s %[s0], %[w0], %[value]\n\t"
            "madd.s %[s1], %[w1], %[value]\n\t"
            "madd.s %[s2], %[w2], %[value]\n\t"
            "madd.s %[s3], %[w3], %[value]\n"
            "1:"
            : [s0] "+f"(sum[0]), [s1] "+f"(sum[1]), [s2] "+f"(sum[2]), [s3] "+f"(sum[3]), [weight] "+a"(weight),
              [x] "+a"(x), [value] "=&f"(value), [w0] "=&f"(w0), [w1] "=&f"(w1), [w2] "=&f"(w2), [w3] "=&f"(w3)
            : [columns] "a"(columns), "m"(*weights), "m"(*values));
}

static inline __attribute__((always_inline)) void add_block(float *sum, const float *weight, const float *x,
                                                            uint32_t columns, uint32_t group)
{
    if (group == GROUP) add_columns_of_eight(sum, weight, x, columns);
    else add_columns_of_four(sum, weight, x, columns);
}

/* Two states at a time, so that neither waits for a result of its own: x = rate step, `decay` makes h of its decay, then h += dt u B
 * and y += C h. */
#define STATES_IN_PAIRS(decay)                                                                                         \
    float x0, x1, t0, t1, h0, h1, b0, b1;                                                                              \
    __asm__("loopnez %[pairs], 1f\n\t"                                                                                 \
            "lsip   %[x0], %[rate], 4\n\t"                                                                             \
            "lsip   %[x1], %[rate], 4\n\t"                                                                             \
            "mul.s  %[x0], %[x0], %[step]\n\t"                                                                         \
            "mul.s  %[x1], %[x1], %[step]\n\t"                                                                         \
            "mov.s  %[t0], %[c2]\n\t"                                                                                  \
            "mov.s  %[t1], %[c2]\n\t"                                                                                  \
            "madd.s %[t0], %[x0], %[c3]\n\t"                                                                           \
            "madd.s %[t1], %[x1], %[c3]\n\t"                                                                           \
            decay                                                                                                      \
            "lsip   %[b0], %[B], 4\n\t"                                                                                \
            "lsip   %[b1], %[B], 4\n\t"                                                                                \
            "madd.s %[h0], %[b0], %[dt_u]\n\t"                                                                         \
            "madd.s %[h1], %[b1], %[dt_u]\n\t"                                                                         \
            "lsip   %[x0], %[C], 4\n\t"                                                                                \
            "lsip   %[x1], %[C], 4\n\t"                                                                                \
            "ssip   %[h0], %[state], 4\n\t"                                                                            \
            "ssip   %[h1], %[state], 4\n\t"                                                                            \
            "madd.s %[y], %[h0], %[x0]\n\t"                                                                            \
            "madd.s %[y], %[h1], %[x1]\n"                                                                              \
            "1:"                                                                                                       \
            : [y] "+f"(y), [state] "+a"(state), [rate] "+a"(rate), [B] "+a"(B), [C] "+a"(C), [x0] "=&f"(x0),           \
              [x1] "=&f"(x1), [t0] "=&f"(t0), [t1] "=&f"(t1), [h0] "=&f"(h0), [h1] "=&f"(h1), [b0] "=&f"(b0),          \
              [b1] "=&f"(b1)                                                                                           \
            : [pairs] "a"(N / 2), [step] "f"(step), [dt_u] "f"(dt_u), [c2] "f"(c2), [c3] "f"(c3), [c4] "f"(c4)         \
            : "memory");                                                                                               \
    return y

#define LOAD_STATES                                                                                                    \
    "lsi    %[h0], %[state], 0\n\t"                                                                                    \
    "lsi    %[h1], %[state], 4\n\t"
/* x = q of x */
#define CUBIC_Q                                                                                                        \
    "mul.s  %[t0], %[t0], %[x0]\n\t"                                                                                   \
    "mul.s  %[t1], %[t1], %[x1]\n\t"                                                                                   \
    LOAD_STATES                                                                                                        \
    "madd.s %[x0], %[t0], %[x0]\n\t"                                                                                   \
    "madd.s %[x1], %[t1], %[x1]\n\t"
#define QUARTIC_Q                                                                                                      \
    "mul.s  %[h0], %[x0], %[x0]\n\t"                                                                                   \
    "mul.s  %[h1], %[x1], %[x1]\n\t"                                                                                   \
    "madd.s %[t0], %[h0], %[c4]\n\t"                                                                                   \
    "madd.s %[t1], %[h1], %[c4]\n\t"                                                                                   \
    "madd.s %[x0], %[t0], %[h0]\n\t"                                                                                   \
    "madd.s %[x1], %[t1], %[h1]\n\t"                                                                                   \
    LOAD_STATES
/* 1 + t = (1 + x)^2, then 1 + x = (1 + t)^2 */
#define FOURTH_POWER                                                                                                   \
    "add.s  %[t0], %[x0], %[x0]\n\t"                                                                                   \
    "add.s  %[t1], %[x1], %[x1]\n\t"                                                                                   \
    "madd.s %[t0], %[x0], %[x0]\n\t"                                                                                   \
    "madd.s %[t1], %[x1], %[x1]\n\t"                                                                                   \
    "add.s  %[x0], %[t0], %[t0]\n\t"                                                                                   \
    "add.s  %[x1], %[t1], %[t1]\n\t"                                                                                   \
    "madd.s %[x0], %[t0], %[t0]\n\t"                                                                                   \
    "madd.s %[x1], %[t1], %[t1]\n\t"
/* h += h x */
#define GROW                                                                                                           \
    "madd.s %[h0], %[h0], %[x0]\n\t"                                                                                   \
    "madd.s %[h1], %[h1], %[x1]\n\t"

static inline float scan_cubic(float y, float *state, const float *rate, const float *B, const float *C, uint32_t N,
                               float step, float dt_u)
{
    const float c2 = CUBIC_C2, c3 = CUBIC_C3, c4 = 0.0f;
    STATES_IN_PAIRS(CUBIC_Q GROW);
}

static inline float scan_quartic(float y, float *state, const float *rate, const float *B, const float *C, uint32_t N,
                                 float step, float dt_u)
{
    const float c2 = QUARTIC_C2, c3 = QUARTIC_C3, c4 = QUARTIC_C4;
    STATES_IN_PAIRS(QUARTIC_Q GROW GROW);
}

static inline float scan_eighth(float y, float *state, const float *rate, const float *B, const float *C, uint32_t N,
                                float step, float dt_u)
{
    const float c2 = EIGHTH_C2, c3 = EIGHTH_C3, c4 = EIGHTH_C4;
    STATES_IN_PAIRS(QUARTIC_Q FOURTH_POWER GROW GROW);
}

#undef STATES_IN_PAIRS
#undef LOAD_STATES
#undef CUBIC_Q
#undef QUARTIC_Q
#undef FOURTH_POWER
#undef GROW

/* Two states at a time; the steps are those of exp2_decay(). */
static inline float scan_table(float y, float *state, const float *rate, const float *B, const float *C, uint32_t N,
                               float dt, float dt_u)
{
    float power0, power1, fraction0, fraction1, parabola0, parabola1, next0, next1; /* and their intermediate values */
    uint32_t k0, k1, entry0, entry1;
    __asm__("loopnez %[pairs], 1f\n\t"
            "lsip   %[power0], %[rate], 4\n\t"
            "lsip   %[power1], %[rate], 4\n\t"
            "mov.s  %[fraction0], %[rounder]\n\t"
            "mov.s  %[fraction1], %[rounder]\n\t"
            "madd.s %[fraction0], %[dt], %[power0]\n\t" /* rounder + k */
            "madd.s %[fraction1], %[dt], %[power1]\n\t"
            "lsip   %[next0], %[B], 4\n\t"
            "lsip   %[next1], %[B], 4\n\t"
            "rfr    %[k0], %[fraction0]\n\t"
            "rfr    %[k1], %[fraction1]\n\t"
            "sub.s  %[fraction0], %[rounder], %[fraction0]\n\t"
            "sub.s  %[fraction1], %[rounder], %[fraction1]\n\t"
            "extui  %[entry0], %[k0], 0, 6\n\t"
            "extui  %[entry1], %[k1], 0, 6\n\t"
            "madd.s %[fraction0], %[dt], %[power0]\n\t"
            "madd.s %[fraction1], %[dt], %[power1]\n\t"
            "addx4  %[entry0], %[entry0], %[table]\n\t"
            "addx4  %[entry1], %[entry1], %[table]\n\t"
            "l32i   %[entry0], %[entry0], 0\n\t"
            "l32i   %[entry1], %[entry1], 0\n\t"
            "slli   %[k0], %[k0], 17\n\t"
            "slli   %[k1], %[k1], 17\n\t"
            "add    %[k0], %[k0], %[entry0]\n\t"
            "add    %[k1], %[k1], %[entry1]\n\t"
            "wfr    %[power0], %[k0]\n\t"
            "wfr    %[power1], %[k1]\n\t"
            "mul.s  %[next0], %[next0], %[dt_u]\n\t"
            "mul.s  %[next1], %[next1], %[dt_u]\n\t"
            "mov.s  %[parabola0], %[linear]\n\t"
            "mov.s  %[parabola1], %[linear]\n\t"
            "madd.s %[parabola0], %[fraction0], %[square]\n\t"
            "madd.s %[parabola1], %[fraction1], %[square]\n\t"
            "mul.s  %[parabola0], %[parabola0], %[fraction0]\n\t"
            "mul.s  %[parabola1], %[parabola1], %[fraction1]\n\t"
            "lsi    %[fraction0], %[state], 0\n\t"
            "lsi    %[fraction1], %[state], 4\n\t"
            "madd.s %[power0], %[power0], %[parabola0]\n\t"
            "madd.s %[power1], %[power1], %[parabola1]\n\t"
            "lsip   %[parabola0], %[C], 4\n\t"
            "lsip   %[parabola1], %[C], 4\n\t"
            "madd.s %[next0], %[power0], %[fraction0]\n\t"
            "madd.s %[next1], %[power1], %[fraction1]\n\t"
            "ssip   %[next0], %[state], 4\n\t"
            "ssip   %[next1], %[state], 4\n\t"
            "madd.s %[y], %[next0], %[parabola0]\n\t"
            "madd.s %[y], %[next1], %[parabola1]\n"
            "1:"
            : [y] "+f"(y), [state] "+a"(state), [rate] "+a"(rate), [B] "+a"(B), [C] "+a"(C),
              [power0] "=&f"(power0), [power1] "=&f"(power1), [fraction0] "=&f"(fraction0), [fraction1] "=&f"(fraction1),
              [parabola0] "=&f"(parabola0), [parabola1] "=&f"(parabola1), [next0] "=&f"(next0), [next1] "=&f"(next1),
              [k0] "=&a"(k0), [k1] "=&a"(k1), [entry0] "=&a"(entry0), [entry1] "=&a"(entry1)
            : [pairs] "a"(N / 2), [dt] "f"(dt), [dt_u] "f"(dt_u), [rounder] "f"(exp_rounder), [linear] "f"(exp_linear),
              [square] "f"(exp_square), [table] "a"(mamba_exp_table)
            : "memory");
    return y;
}

#endif
