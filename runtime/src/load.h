/* Neighbouring floats in one instruction, where the CPU has one that the compiler does not use by itself: loads are half of
 * a matrix kernel's instructions otherwise.
 *
 *     LOAD_FOUR(to, from, r0, r1, r2, r3)         to (4) = from (4);  from += 4
 *     LOAD_EIGHT(to, from, r0, ..., r7)           to (8) = from (8);  from += 8
 *
 * vldmia wants consecutive registers, so the caller chooses them: loads that are in use at the same time need different ones.
 * Elsewhere the names of the registers mean nothing.
 */
#ifndef MAMBA_LOAD_H
#define MAMBA_LOAD_H

#if defined(__ARM_ARCH_7EM__) && defined(__ARM_FP)

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

#else

#define LOAD_FOUR(to, from, r0, r1, r2, r3)                                                                            \
    do {                                                                                                               \
        (to)[0] = (from)[0], (to)[1] = (from)[1], (to)[2] = (from)[2], (to)[3] = (from)[3];                            \
        (from) += 4;                                                                                                   \
    } while (0)

#define LOAD_EIGHT(to, from, r0, r1, r2, r3, r4, r5, r6, r7)                                                           \
    do {                                                                                                               \
        LOAD_FOUR(to, from, r0, r1, r2, r3);                                                                           \
        LOAD_FOUR((to) + 4, from, r4, r5, r6, r7);                                                                     \
    } while (0)

#endif
#endif
