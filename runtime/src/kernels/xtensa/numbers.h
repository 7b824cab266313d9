/* Numbers on an Xtensa LX with FPU: see kernels.h. */
#ifndef MAMBA_XTENSA_NUMBERS_H
#define MAMBA_XTENSA_NUMBERS_H

static inline uint32_t bits_of(float value)
{
    uint32_t bits;
    __asm__("rfr %0, %1" : "=a"(bits) : "f"(value));
    return bits;
}

static inline float float_of(uint32_t bits)
{
    float value;
    __asm__("wfr %0, %1" : "=f"(value) : "a"(bits));
    return value;
}

static inline float divide(float dividend, float divisor)
{
    /* The FPU's steps of a correctly rounded division, in the order of the Xtensa Instruction Set Architecture Reference Manual
     * (4.3.11).
     * A function would cost more: its caller has to save every float register. */
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
}

static inline uint64_t product(uint64_t a, uint64_t b)
{
    const uint32_t a_low = a & 0xffffu, a_high = (uint32_t)a >> 16, b_low = b & 0xffffu, b_high = (uint32_t)b >> 16;
    return ((uint64_t)(a_high * b_high) << 32) + ((uint64_t)(a_high * b_low) << 16) + ((uint64_t)(a_low * b_high) << 16) +
           a_low * b_low;
}

#endif
