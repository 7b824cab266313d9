/* The activations that stand between layers. kernels.h has those inside the Mamba block. All of them pass a NaN on. */
#ifndef MAMBA_ACTIVATION_H
#define MAMBA_ACTIVATION_H

#include "kernels/kernels.h"

static inline float relu(float x) { return x < 0.0f ? 0.0f : x; }

static inline float sigmoid(float x) { return divide(1.0f, 1.0f + exp_bounded(-x)); }

/* x Phi(x), with Phi the normal distribution's function: Phi(-|x|) = e^(-z z) t p(t), z = |x| / sqrt 2, t = 1 / (1 + 0.4 z).
 * The polynomial's relative error is 5e-8 up to z = 5. */
static inline float gelu(float x)
{
    static const float p[] = {0x1.cca73ap-4f, 0x1.e48c64p-4f, 0x1.1d9358p-4f, 0x1.a1b086p-3f,
                              -0x1.7b52cap-3f, 0x1.5bd63cp-2f, -0x1.90a67ap-3f, 0x1.2ce32ap-5f};
    const float z = __builtin_fabsf(x) * 0x1.6a09e6p-1f;
    const float t = divide(1.0f, 1.0f + 0.4f * z);
    float sum = p[7];
    for (int i = 6; i >= 0; i--) sum = sum * t + p[i];
    const float tail = exp_bounded(-z * z) * t * sum;
    return x < 0.0f ? x * tail : x - x * tail;
}

/* Near 0 a polynomial, whose error is 1e-9: 1 - 2 / (e^2x + 1) would lose digits there. */
static inline float hyperbolic_tangent(float x)
{
    const float size = __builtin_fabsf(x), q = x * x;
    const float near_zero = -0x1.55554cp-2f + q * (0x1.110d3ap-3f + q * (-0x1.b92bb4p-5f + q * (0x1.595650p-6f - q * 0x1.9bb904p-8f)));
    if (size < 0.55f) return x + x * q * near_zero;
    const float far = 1.0f - divide(2.0f, exp_bounded(2.0f * size) + 1.0f);
    return x < 0.0f ? -far : far;
}

#endif
