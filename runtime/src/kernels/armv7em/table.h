/* Powers of two from mamba_exp_table on Armv7E-M with FPU: see exp_table.h. */
#ifndef MAMBA_ARMV7EM_TABLE_H
#define MAMBA_ARMV7EM_TABLE_H

#include "../../exp_table.h"
#include "instructions.h"

#if EXP_STEPS_PER_OCTAVE != 64 || EXP_OCTAVE_SHIFT != 17
#error "POWER has these numbers too: change them there"
#endif

/* power = 2^(k / 64), with exp_rounder + k in power before; [k] and [entry] are free, `table` is the operand with
 * mamba_exp_table */
#define POWER(power, table)                                                                                            \
    "vmov  %[k], " #power "\n\t"                                                                                       \
    "and   %[entry], %[k], #63\n\t"                                                                                    \
    "ldr   %[entry], [%[" #table "], %[entry], lsl #2]\n\t"                                                            \
    "add   %[k], %[entry], %[k], lsl #17\n\t"                                                                          \
    "vmov  " #power ", %[k]\n\t"
#define FOUR_POWERS(...)                       EACH_POWER(__VA_ARGS__)
#define EACH_POWER(p0, p1, p2, p3, table) POWER(p0, table) POWER(p1, table) POWER(p2, table) POWER(p3, table)

#endif
