/* Armv7E-M with FPU (Cortex-M4, Cortex-M7). */
#ifndef MAMBA_ARMV7EM_H
#define MAMBA_ARMV7EM_H

#define MAMBA_CORE_BOUNDS /* VMAXNM and VMINNM; a call of libm on a Cortex-M4 */
#define MAMBA_CORE_ROWS   /* VLDMIA of sixteen weights */
#define MAMBA_CORE_SUM    /* VLDMIA of eight values */
#include "rows.h"
#define MAMBA_CORE_LOADS  /* VLDMIA: GCC uses a load for each float, half of a matrix kernel's instructions */
#ifdef __OPTIMIZE__       /* else GCC keeps a register for itself, and scan() needs all */
#define MAMBA_CORE_SCAN   /* VLDMIA, four states at a time */
#include "scan.h"
#endif
/* VMAXNM and VMINNM, which an FPv5 has: GCC shows one with double precision, the build names one without. */
#if __ARM_FP & 8 || defined MAMBA_FPV5
#define MAMBA_CORE_ACTIVATIONS /* four values at a time */
#define MAMBA_CORE_CONVOLUTION
#include "activation.h"
#endif
#ifdef __ARM_FP16_FORMAT_IEEE
#define MAMBA_CORE_HALF /* VCVTB */
#endif

static inline float at_least(float x, float bound) { return __builtin_fmaxf(x, bound); }
static inline float at_most(float x, float bound) { return __builtin_fminf(x, bound); }

#ifdef MAMBA_CORE_HALF
static inline float from_half(uint16_t half)
{
    const union {
        uint16_t bits;
        __fp16 value;
    } exact = {half};
    return (float)exact.value;
}
#endif

#define LOAD_FOUR(to, from, r0, r1, r2, r3)                                                                            \
    do {                                                                                                               \
        register float v0 __asm__(#r0), v1 __asm__(#r1), v2 __asm__(#r2), v3 __asm__(#r3);                             \
        const float(*const memory)[4] = (const float(*)[4])(from);                                                     \
        __asm__("vldmia %0!, {" #r0 "-" #r3 "}"                                                                        \
                : "+r"(from), "=t"(v0), "=t"(v1), "=t"(v2), "=t"(v3)                                                   \
                : "m"(*memory));                                                                                       \
        (to)[0] = v0, (to)[1] = v1, (to)[2] = v2, (to)[3] = v3;                                                        \
    } while (0)

#define LOAD_EIGHT(to, from, r0, r1, r2, r3, r4, r5, r6, r7)                                                           \
    do {                                                                                                               \
        register float v0 __asm__(#r0), v1 __asm__(#r1), v2 __asm__(#r2), v3 __asm__(#r3), v4 __asm__(#r4),            \
            v5 __asm__(#r5), v6 __asm__(#r6), v7 __asm__(#r7);                                                         \
        const float(*const memory)[8] = (const float(*)[8])(from);                                                     \
        __asm__("vldmia %0!, {" #r0 "-" #r7 "}"                                                                        \
                : "+r"(from), "=t"(v0), "=t"(v1), "=t"(v2), "=t"(v3), "=t"(v4), "=t"(v5), "=t"(v6), "=t"(v7)           \
                : "m"(*memory));                                                                                       \
        (to)[0] = v0, (to)[1] = v1, (to)[2] = v2, (to)[3] = v3;                                                        \
        (to)[4] = v4, (to)[5] = v5, (to)[6] = v6, (to)[7] = v7;                                                        \
    } while (0)


#endif
