/* Division of floats, where the compiler would call a function for it. */
#ifndef MAMBA_DIVIDE_H
#define MAMBA_DIVIDE_H

static inline float divide(float dividend, float divisor)
{
#ifdef __XTENSA__
    /* The FPU's steps of a division, rounded right, in the order that the Xtensa Instruction Set Architecture Reference Manual
     * (4.3.11) prescribes. A call would lose every float register besides: the caller has to save them all. */
    float quotient, seed, scaled_divisor, scaled_dividend, error, reciprocal, adjustment, negated;
    __asm__("div0.s    %[seed], %[divisor]\n\t"
            "nexp01.s  %[scaled_divisor], %[divisor]\n\t"
            "const.s   %[error], 1\n\t"
            "maddn.s   %[error], %[scaled_divisor], %[seed]\n\t"
            "mov.s     %[reciprocal], %[seed]\n\t"
            "mov.s     %[adjustment], %[divisor]\n\t"
            "nexp01.s  %[scaled_dividend], %[dividend]\n\t"
            "maddn.s   %[reciprocal], %[error], %[reciprocal]\n\t"
            "const.s   %[error], 1\n\t"
            "const.s   %[quotient], 0\n\t"
            "neg.s     %[negated], %[scaled_dividend]\n\t"
            "maddn.s   %[error], %[scaled_divisor], %[reciprocal]\n\t"
            "maddn.s   %[quotient], %[negated], %[seed]\n\t"
            "mkdadj.s  %[adjustment], %[dividend]\n\t"
            "maddn.s   %[reciprocal], %[error], %[reciprocal]\n\t"
            "maddn.s   %[negated], %[scaled_divisor], %[quotient]\n\t"
            "const.s   %[seed], 1\n\t"
            "maddn.s   %[seed], %[scaled_divisor], %[reciprocal]\n\t"
            "maddn.s   %[quotient], %[negated], %[reciprocal]\n\t"
            "neg.s     %[scaled_dividend], %[scaled_dividend]\n\t"
            "maddn.s   %[reciprocal], %[seed], %[reciprocal]\n\t"
            "maddn.s   %[scaled_dividend], %[scaled_divisor], %[quotient]\n\t"
            "addexpm.s %[quotient], %[adjustment]\n\t"
            "addexp.s  %[reciprocal], %[adjustment]\n\t"
            "divn.s    %[quotient], %[scaled_dividend], %[reciprocal]"
            : [quotient] "=&f"(quotient), [seed] "=&f"(seed), [scaled_divisor] "=&f"(scaled_divisor),
              [scaled_dividend] "=&f"(scaled_dividend), [error] "=&f"(error), [reciprocal] "=&f"(reciprocal),
              [adjustment] "=&f"(adjustment), [negated] "=&f"(negated)
            : [dividend] "f"(dividend), [divisor] "f"(divisor));
    return quotient;
#else
    return dividend / divisor;
#endif
}

#endif
