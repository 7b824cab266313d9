/* Measures the engine's activations against the C library's long double functions, float by float.
 *
 *     activation_sweep FUNCTION STRIDE
 *
 * takes every STRIDE-th float of the function's domain, its ends included, and prints how many there were, the worst
 * error in units in the last place of the right answer, and where it was. For `decay`, see below.
 */
#include "kernels/kernels.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct worst {
    unsigned long values;
    double error;
    float x;
} worst;

/* |got - want| in units in the last place of a float next to want. */
static double ulps(float got, long double want)
{
    int exponent;
    frexpl(want, &exponent);
    const int last_place = exponent - 24 < -149 ? -149 : exponent - 24; /* -149: that of a subnormal float */
    return (double)fabsl(ldexpl((long double)got - want, -last_place));
}

static void note(worst *w, float x, double error)
{
    w->values++;
    if (!(error <= w->error)) { /* a NaN counts as worst */
        w->error = error;
        w->x = x;
    }
}

/* Every stride-th float from 0 to `end`, and `end`; a negative end sweeps the negative floats. */
static void sweep(worst *w, float (*function)(float), long double (*right)(long double), float end, uint32_t stride)
{
    const uint32_t last = bits_of(fabsf(end)), sign = end < 0.0f ? 0x80000000u : 0u;
    for (uint32_t bits = 0; bits < last; bits += stride) {
        const float x = float_of(bits | sign);
        note(w, x, ulps(function(x), right((long double)x)));
    }
    note(w, end, ulps(function(end), right((long double)end)));
}

static long double right_silu(long double x) { return x / (1.0L + expl(-x)); }
static long double right_softplus(long double x) { return fmaxl(x, 0.0L) + log1pl(expl(-fabsl(x))); }

/* exp2_decay(dt, rate) where A = rate * ln 2 / 64 and dt A lies in (-85, 0]: the worst relative error, less what one
 * rounding of dt A costs (|dt A| half units), in units of 2^-24. */
static void sweep_decay(worst *w, uint32_t stride)
{
    const long double unit = logl(2.0L) / 64.0L;
    float dt = 0x1p-20f;
    for (uint32_t i = 0; dt < 8.0f; dt = float_of(bits_of(dt) + stride), i++) {
        const float exponent = -85.0f * (float)(i * 2654435769u) * 0x1p-32f; /* spread by the golden ratio */
        const float rate = (float)((long double)exponent / (unit * dt));
        const long double product = (long double)dt * rate * unit;
        const long double right = expl(product);
        const long double relative = fabsl(exp2_decay(dt, rate) - right) / right;
        note(w, (float)product, (double)(relative * 0x1p24L + product));
    }
}

int main(int count, char **arguments)
{
    if (count != 3) return 2;
    const char *name = arguments[1];
    const uint32_t stride = (uint32_t)strtoul(arguments[2], NULL, 10);
    worst w = {0, -INFINITY, 0.0f};
    if (strcmp(name, "exp") == 0) {
        sweep(&w, exp_bounded, expl, -87.0f, stride);
        sweep(&w, exp_bounded, expl, 88.0f, stride);
    } else if (strcmp(name, "log1p") == 0) {
        sweep(&w, log1p_unit, log1pl, 1.0f, stride);
    } else if (strcmp(name, "silu") == 0) {
        sweep(&w, silu, right_silu, -87.0f, stride);
        sweep(&w, silu, right_silu, 88.0f, stride);
    } else if (strcmp(name, "softplus") == 0) {
        sweep(&w, softplus, right_softplus, -86.0f, stride);
        sweep(&w, softplus, right_softplus, 88.0f, stride);
    } else if (strcmp(name, "decay") == 0) {
        sweep_decay(&w, stride);
    } else {
        return 2;
    }
    printf("%lu %.6f %a\n", w.values, w.error, (double)w.x);
    return 0;
}
