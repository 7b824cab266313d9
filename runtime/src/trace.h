/* A window into the engine for comparing its intermediate tensors with PyTorch's, layer by layer.
 *
 * Compiled in only with -DMAMBA_TRACE; the firmware then supplies mamba_trace(). Without it, the calls vanish.
 */
#ifndef MAMBA_TRACE_H
#define MAMBA_TRACE_H

#include <stdint.h>

enum mamba_traced {
    MAMBA_TRACE_LINEAR_IN, /* (M) */
    MAMBA_TRACE_IN_X,      /* (D) */
    MAMBA_TRACE_IN_Z,      /* (D) */
    MAMBA_TRACE_CONV,      /* (D) after SiLU */
    MAMBA_TRACE_X_PROJ,    /* (R + N + N), each part padded as in the image */
    MAMBA_TRACE_DT,        /* (D) after softplus */
    MAMBA_TRACE_GATED,     /* (D) */
    MAMBA_TRACE_OUTPUT     /* (M) the block's output, the residual included */
};

#ifdef MAMBA_TRACE
/* Values `first` to `first + count` of one step's tensor. */
void mamba_trace(enum mamba_traced tensor, uint32_t block, uint32_t first, const float *values, uint32_t count);
#else
#define mamba_trace(tensor, block, first, values, count) ((void)0)
#endif

#endif
