/* exp as a table and a parabola: exp(x) = 2^(k / 64) * exp(r) with k = round(64 x / ln 2) and |r| <= ln 2 / 128. The table has
 * the 64 values of the first factor between two powers of two; the parabola's relative error is 2.7e-8.
 */
#ifndef MAMBA_EXP_TABLE_H
#define MAMBA_EXP_TABLE_H

#include <stdint.h>

#define EXP_STEPS_PER_OCTAVE 64 /* entries of the table */
#define EXP_OCTAVE_SHIFT     17 /* 23 fraction bits of a float less 6 bits of table index */

/* The float's bits of 2^(i / 64), less i << EXP_OCTAVE_SHIFT: adding k << EXP_OCTAVE_SHIFT gives the bits of 2^(k / 64). */
extern const uint32_t mamba_exp_table[EXP_STEPS_PER_OCTAVE];

#define EXP_ROUNDER 0x1.8p23f       /* adding and subtracting it rounds to an integer: the low bits of the sum */
#define EXP_LINEAR  0x1.62e430p-7f  /* ln 2 / 64 */
#define EXP_SQUARE  0x1.ebfbe0p-15f /* (ln 2 / 64)^2 / 2 */

/* log(1 + x) = 2 artanh(s) with s = x / (2 + x), for x in [0, 1]: artanh(s) = s + s q (c0 + c1 q + c2 q^2 + c3 q^3) with q = s^2 */
#define LOG1P_SERIES 0x1.5555p-2f, 0x1.99d27cp-3f, 0x1.1eb610p-3f, 0x1.1ef87ap-3f

static const float exp_rounder = EXP_ROUNDER, exp_linear = EXP_LINEAR, exp_square = EXP_SQUARE;

#endif
