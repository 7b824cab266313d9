/* Xtensa LX with FPU, such as the ESP32-S3's. Square roots are __builtin_sqrtf everywhere: GCC calls libm's sqrtf here. */
#ifndef MAMBA_XTENSA_H
#define MAMBA_XTENSA_H

#define MAMBA_CORE_BITS    /* RFR and WFR: GCC would go through memory */
#define MAMBA_CORE_DIVIDE  /* the FPU's steps of a division: GCC would call a function */
#define MAMBA_CORE_PRODUCT /* GCC would use MULUH, which the ESP32-S3 has and the core that QEMU emulates lacks */
#define MAMBA_CORE_BLOCK   /* LOOP and LSIP */
#define MAMBA_CORE_TIERS   /* LOOP, LSIP and SSIP, two states at a time */

#include "loops.h"
#include "numbers.h"

#endif
