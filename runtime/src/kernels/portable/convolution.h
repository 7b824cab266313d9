/* The depthwise causal convolution in C99: see kernels.h. */
#ifndef MAMBA_PORTABLE_CONVOLUTION_H
#define MAMBA_PORTABLE_CONVOLUTION_H

#include "../../unroll.h"

/* One channel; weight (K), tail (K - 1). */
static inline __attribute__((always_inline)) float convolve_channel(float x, float *tail, const float *weight, uint32_t K)
{
    float sum = weight[K - 1] * x;
    UNROLLED_FOR(k, K - 1) {
        const float oldest = tail[k];
        sum += weight[k] * oldest;
        if (k > 0) tail[k - 1] = oldest;
    }
    if (K > 1) tail[K - 2] = x;
    return sum;
}

static inline __attribute__((always_inline)) void convolve_in_c(float *u, const float *x, float *tail, const float *weight,
                                                                const float *bias, uint32_t K, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++, weight += K, tail += K - 1) {
        const float sum = K == 4 ? convolve_channel(x[i], tail, weight, 4) : convolve_channel(x[i], tail, weight, K);
        u[i] = silu(sum + bias[i]);
    }
}

#ifndef MAMBA_CORE_CONVOLUTION
static inline __attribute__((always_inline)) void convolve(float *u, const float *x, float *tail, const float *weight,
                                                           const float *bias, uint32_t K, uint32_t count)
{
    convolve_in_c(u, x, tail, weight, bias, K, count);
}
#endif

#endif
