/* Neighbouring floats in C99: see kernels.h. */
#ifndef MAMBA_PORTABLE_LOADS_H
#define MAMBA_PORTABLE_LOADS_H

#ifndef MAMBA_CORE_LOADS
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
