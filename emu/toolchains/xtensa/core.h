/* The core that code is compiled for: what QEMU calls de233_fpu, less what an ESP32-S3 lacks and QEMU does not run.

   It stands in the place of xtensa-config.h, which GCC and binutils describe a core with: their default first, over it
   QEMU's description, over that what is said here. */

#ifndef EMU_CORE_H
#define EMU_CORE_H

#pragma GCC system_header /* a later line may differ from an earlier one */

#include "xtensa-config-default.h"
#include "core-isa.h"

#undef XSHAL_ABI
#define XSHAL_ABI XTHAL_ABI_WINDOWED

/* Literals stand beside the code that loads them. */
#undef XSHAL_USE_ABSOLUTE_LITERALS
#define XSHAL_USE_ABSOLUTE_LITERALS 0
#undef XSHAL_HAVE_TEXT_SECTION_LITERALS
#define XSHAL_HAVE_TEXT_SECTION_LITERALS 1

/* An ESP32-S3 multiplies 32 by 32 to 64 bits, and the emulated core does not. QEMU's description says so too: this says
   that it matters. */
#undef XCHAL_HAVE_MUL32_HIGH
#define XCHAL_HAVE_MUL32_HIGH 0

/* The emulated core computes in double precision as well; the ESP32-S3 does not. */
#undef XCHAL_HAVE_DFP
#define XCHAL_HAVE_DFP 0
#undef XCHAL_HAVE_DFP_DIV
#define XCHAL_HAVE_DFP_DIV 0
#undef XCHAL_HAVE_DFP_RECIP
#define XCHAL_HAVE_DFP_RECIP 0
#undef XCHAL_HAVE_DFP_SQRT
#define XCHAL_HAVE_DFP_SQRT 0
#undef XCHAL_HAVE_DFP_RSQRT
#define XCHAL_HAVE_DFP_RSQRT 0
#undef XCHAL_HAVE_DFP_accel
#define XCHAL_HAVE_DFP_accel 0

/* QEMU knows recip0.s and rsqrt0.s as no instructions. */
#undef XCHAL_HAVE_FP_RECIP
#define XCHAL_HAVE_FP_RECIP 0
#undef XCHAL_HAVE_FP_RSQRT
#define XCHAL_HAVE_FP_RSQRT 0

/* Loads and stores of floats that step the address are lsip and ssip. */
#undef XCHAL_HAVE_FP_POSTINC
#define XCHAL_HAVE_FP_POSTINC 1

#endif
