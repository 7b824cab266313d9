/* Instructions for several registers, as the text of inline assembly. GCC allocates no neighbouring registers, but VLDMIA needs
 * them: so the kernels name their FPU registers, and leave the pointers to GCC. FOUR(vmul, S0_3, S4_7, ALL(s31)) are the four
 * multiplications of s4, s5, s6 and s7 by s31.
 */
#ifndef MAMBA_ARMV7EM_INSTRUCTIONS_H
#define MAMBA_ARMV7EM_INSTRUCTIONS_H

#define S0_3   s0, s1, s2, s3
#define S4_7   s4, s5, s6, s7
#define S8_11  s8, s9, s10, s11
#define S12_15 s12, s13, s14, s15
#define S16_19 s16, s17, s18, s19
#define S20_23 s20, s21, s22, s23
#define ALL(s) s, s, s, s

/* COPY(to, from): to = from. FOUR(op, to, a, b): to = a op b, and for vfma to += a b. Both lane by lane. */
#define COPY(...)         FOUR_COPIES(__VA_ARGS__)
#define FOUR(...)         FOUR_RESULTS(__VA_ARGS__)
#define ONE(...)          ONE_RESULT(__VA_ARGS__)

/* registers = the floats at a pointer, which LOAD_NEXT and STORE_NEXT advance */
#define LOAD(pointer, ...)       "vldmia %[" #pointer "], {" LIST(__VA_ARGS__) "}\n\t"
#define LOAD_NEXT(pointer, ...)  "vldmia %[" #pointer "]!, {" LIST(__VA_ARGS__) "}\n\t"
#define STORE(pointer, ...)      "vstmia %[" #pointer "], {" LIST(__VA_ARGS__) "}\n\t"
#define STORE_NEXT(pointer, ...) "vstmia %[" #pointer "]!, {" LIST(__VA_ARGS__) "}\n\t"

/* register = the address of a variable, an operand "i" */
#define ADDRESS(register, variable)                                                                                    \
    "movw %[" #register "], #:lower16:%c[" #variable "]\n\tmovt %[" #register "], #:upper16:%c[" #variable "]\n\t"

#define LIST(...) #__VA_ARGS__
#define FOUR_COPIES(t0, t1, t2, t3, f0, f1, f2, f3)                                                                    \
    "vmov.f32 " #t0 ", " #f0 "\n\tvmov.f32 " #t1 ", " #f1 "\n\t"                                                       \
    "vmov.f32 " #t2 ", " #f2 "\n\tvmov.f32 " #t3 ", " #f3 "\n\t"
#define FOUR_RESULTS(op, t0, t1, t2, t3, a0, a1, a2, a3, b0, b1, b2, b3)                                               \
    ONE_RESULT(op, t0, a0, b0) ONE_RESULT(op, t1, a1, b1) ONE_RESULT(op, t2, a2, b2) ONE_RESULT(op, t3, a3, b3)
#define ONE_RESULT(op, to, a, b) #op ".f32 " #to ", " #a ", " #b "\n\t"

#define ALL_FPU_REGISTERS                                                                                              \
    "s0", "s1", "s2", "s3", "s4", "s5", "s6", "s7", "s8", "s9", "s10", "s11", "s12", "s13", "s14", "s15", "s16",       \
        "s17", "s18", "s19", "s20", "s21", "s22", "s23", "s24", "s25", "s26", "s27", "s28", "s29", "s30", "s31"

#endif
