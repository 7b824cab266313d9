/* A loop that the compiler unrolls, up to eight times: small arrays live in registers only if their loops are unrolled. */
#ifndef MAMBA_UNROLL_H
#define MAMBA_UNROLL_H

#define UNROLLED_FOR(index, count) _Pragma("GCC unroll 8") for (uint32_t index = 0; index < (count); index++)

#endif
