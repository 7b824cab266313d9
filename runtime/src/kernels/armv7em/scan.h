/* The selective scan on Armv7E-M with FPU, four states at a time: see kernels.h, and tiers.h for the decays. */
#ifndef MAMBA_ARMV7EM_SCAN_H
#define MAMBA_ARMV7EM_SCAN_H

#include "../tiers.h"
#include "table.h"

/* The registers of four states. */
#define RATE   S0_3   /* then x, then q */
#define STATE  S4_7
#define INPUT  S8_11  /* of B */
#define OUTPUT S12_15 /* of C */
#define SERIES S16_19 /* c2 + c3 x + c4 x^2 */
#define SQUARE S20_23

/* The registers of a channel. */
#define STEP     s24 /* dt, then dt times the tier's scale */
#define DT_U     s25
#define Y        s26 /* of even states */
#define Y_OF_ODD s27

static const struct {
    float shares[3], cubic[3], quartic[4], eighth[4], table[4];
} scan_constants = {
    {CUBIC_SHARE, QUARTIC_SHARE, EIGHTH_SHARE},
    {CUBIC_SCALE, CUBIC_C2, CUBIC_C3},
    {QUARTIC_SCALE, QUARTIC_C2, QUARTIC_C3, QUARTIC_C4},
    {EIGHTH_SCALE, EIGHTH_C2, EIGHTH_C3, EIGHTH_C4},
    {EXP_ROUNDER, EXP_LINEAR, EXP_SQUARE, -7900.0f},
};

/* Go on at `label` if the step is greater than a limit, or is not a number. */
#define UNLESS_STEP_IS_UP_TO(limit, label)                                                                             \
    "vcmp.f32 s24, " #limit "\n\tvmrs APSR_nzcv, fpscr\n\tbhi " #label "\n\t"

/* registers = a tier's constants */
#define CONSTANTS(offset, registers) "add %[k], %[constants], #" #offset "\n\t" LOAD(k, registers)

/* All states of a channel: `decay` makes STATE of its decay, then state += dt u B and y += C state. */
#define STATES(loop, decay)                                                                                            \
    #loop ":\n\t"                                                                                                      \
    decay                                                                                                              \
    FOUR(vfma, STATE, INPUT, ALL(DT_U))                                                                                \
    ONE(vfma, Y, s4, s12)                                                                                              \
    ONE(vfma, Y_OF_ODD, s5, s13)                                                                                       \
    STORE_NEXT(state, STATE)                                                                                           \
    ONE(vfma, Y, s6, s14)                                                                                              \
    "cmp   %[rate], %[end]\n\t"                                                                                        \
    ONE(vfma, Y_OF_ODD, s7, s15)                                                                                       \
    "bne   " #loop "b\n\t"

/* RATE = q of x = rate STEP; s29 to s31 are c2, c3 and c4 */
#define CUBIC_Q                                                                                                        \
    LOAD_NEXT(rate, RATE)                                                                                              \
    COPY(SERIES, ALL(s29))                                                                                             \
    FOUR(vmul, RATE, RATE, ALL(STEP))                                                                                  \
    LOAD(state, STATE)                                                                                                 \
    FOUR(vfma, SERIES, RATE, ALL(s30))                                                                                 \
    LOAD_NEXT(B, INPUT)                                                                                                \
    FOUR(vmul, SERIES, SERIES, RATE)                                                                                   \
    LOAD_NEXT(C, OUTPUT)                                                                                               \
    FOUR(vfma, RATE, SERIES, RATE)
#define QUARTIC_Q                                                                                                      \
    LOAD_NEXT(rate, RATE)                                                                                              \
    COPY(SERIES, ALL(s29))                                                                                             \
    FOUR(vmul, RATE, RATE, ALL(STEP))                                                                                  \
    LOAD(state, STATE)                                                                                                 \
    FOUR(vmul, SQUARE, RATE, RATE)                                                                                     \
    FOUR(vfma, SERIES, RATE, ALL(s30))                                                                                 \
    LOAD_NEXT(B, INPUT)                                                                                                \
    FOUR(vfma, SERIES, SQUARE, ALL(s31))                                                                               \
    LOAD_NEXT(C, OUTPUT)                                                                                               \
    FOUR(vfma, RATE, SERIES, SQUARE)

#define GROW           FOUR(vfma, STATE, STATE, RATE)           /* state += state q */
#define SQUARED(to, q) FOUR(vadd, to, q, q) FOUR(vfma, to, q, q) /* 1 + to = (1 + q)^2 */

/* RATE = steps of the table */
#define STEPS LOAD_NEXT(rate, RATE) FOUR(vmul, RATE, RATE, ALL(STEP))

/* s = -7900 if s is less, or not a number; Cortex-M4 has no VMAXNM. */
#define BOUND(s) "vcmp.f32 " #s ", s31\n\tvmrs APSR_nzcv, fpscr\n\tit le\n\tvmovle.f32 " #s ", s31\n\t"

/* STATE *= 2^(RATE / 64), as in exp2_decay(); s28 to s30 are exp_rounder, exp_linear and exp_square */
#define TABLE_DECAY                                                                                                    \
    FOUR(vadd, SERIES, RATE, ALL(s28)) /* exp_rounder + k */                                                           \
    LOAD(state, STATE)                                                                                                 \
    FOUR(vsub, SQUARE, ALL(s28), SERIES) /* -k */                                                                      \
    LOAD_NEXT(B, INPUT)                                                                                                \
    FOUR(vadd, SQUARE, SQUARE, RATE) /* the fraction */                                                                \
    FOUR_POWERS(SERIES, constants)                                                                                     \
    COPY(RATE, ALL(s29))                                                                                               \
    FOUR(vfma, RATE, SQUARE, ALL(s30))                                                                                 \
    LOAD_NEXT(C, OUTPUT)                                                                                               \
    FOUR(vmul, SQUARE, SQUARE, RATE)                                                                                   \
    FOUR(vfma, SERIES, SERIES, SQUARE)                                                                                 \
    FOUR(vmul, STATE, STATE, SERIES)

static inline __attribute__((always_inline)) void scan(const struct scan_channels *channels)
{
    const float *rate = channels->rate, *dt = channels->dt, *limit = channels->dt_limit, *skip = channels->skip;
    float *state = channels->state, *u = channels->u;
    const void *constants = &scan_constants; /* or the table */
    const float *B, *C, *end;
    uint32_t k, entry;
    __asm__ volatile("1:\n\t" /* a channel */
                     LOAD_NEXT(dt, STEP)
                     LOAD_NEXT(limit, s28)
                     LOAD(u, DT_U)
                     LOAD_NEXT(skip, Y)
                     LOAD(constants, s29-s31) /* the tiers' shares of dt_limit */
                     "ldrd  %[B], %[C], [%[channels], %[offset_of_B]]\n\t"
                     "ldr   %[end], [%[channels], %[offset_of_row_bytes]]\n\t"
                     ONE(vmul, s29, s29, s28)
                     ONE(vmul, Y, Y, DT_U) /* skip u */
                     ONE(vmul, DT_U, DT_U, STEP)
                     "add   %[end], %[rate]\n\t"
                     ONE(vsub, Y_OF_ODD, s28, s28)
                     UNLESS_STEP_IS_UP_TO(s29, 2f)
                     CONSTANTS(12, s28-s30)
                     ONE(vmul, STEP, STEP, s28)
                     STATES(8, CUBIC_Q GROW)
                     "b     7f\n"

                     "2:\n\t"
                     ONE(vmul, s30, s30, s28)
                     UNLESS_STEP_IS_UP_TO(s30, 3f)
                     CONSTANTS(24, s28-s31)
                     ONE(vmul, STEP, STEP, s28)
                     STATES(8, QUARTIC_Q GROW GROW)
                     "b     7f\n"

                     "3:\n\t"
                     ONE(vmul, s31, s31, s28)
                     UNLESS_STEP_IS_UP_TO(s31, 4f)
                     CONSTANTS(40, s28-s31)
                     ONE(vmul, STEP, STEP, s28)
                     STATES(8, QUARTIC_Q SQUARED(SERIES, RATE) SQUARED(RATE, SERIES) GROW GROW)
                     "b     7f\n"

                     "4:\n\t"
                     UNLESS_STEP_IS_UP_TO(s28, 5f)
                     CONSTANTS(56, s28-s31)
                     ADDRESS(constants, table)
                     STATES(8, STEPS TABLE_DECAY)
                     "b     6f\n"

                     "5:\n\t"
                     CONSTANTS(56, s28-s31)
                     ADDRESS(constants, table)
                     STATES(8, STEPS BOUND(s0) BOUND(s1) BOUND(s2) BOUND(s3) TABLE_DECAY)
                     "6:\n\t"
                     ADDRESS(constants, scan_constants)

                     "7:\n\t"
                     "vldr  s0, [%[dt], %[gate_after_next]]\n\t"
                     ONE(vadd, Y, Y, Y_OF_ODD)
                     "ldr   %[k], [%[channels], %[offset_of_end]]\n\t"
                     ONE(vmul, Y, Y, s0)
                     STORE_NEXT(u, Y)
                     "cmp   %[u], %[k]\n\t"
                     "bne   1b"
                     : [rate] "+r"(rate), [state] "+r"(state), [dt] "+r"(dt), [u] "+r"(u), [limit] "+r"(limit),
                       [skip] "+r"(skip), [constants] "+r"(constants), [B] "=&r"(B), [C] "=&r"(C), [end] "=&r"(end),
                       [k] "=&r"(k), [entry] "=&r"(entry)
                     : [channels] "r"(channels), [table] "i"(mamba_exp_table), [scan_constants] "i"(&scan_constants),
                       [offset_of_B] "i"(offsetof(struct scan_channels, B)),
                       [offset_of_row_bytes] "i"(offsetof(struct scan_channels, row_bytes)),
                       [offset_of_end] "i"(offsetof(struct scan_channels, end)),
                       [gate_after_next] "i"((GROUP - 1) * sizeof(float))
                     : ALL_FPU_REGISTERS, "cc", "memory");
}

#undef RATE
#undef STATE
#undef INPUT
#undef OUTPUT
#undef SERIES
#undef SQUARE
#undef STEP
#undef DT_U
#undef Y
#undef Y_OF_ODD
#undef UNLESS_STEP_IS_UP_TO
#undef CONSTANTS
#undef STATES
#undef CUBIC_Q
#undef QUARTIC_Q
#undef GROW
#undef SQUARED
#undef STEPS
#undef BOUND
#undef TABLE_DECAY

#endif
