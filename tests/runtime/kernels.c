/* The engine's kernels, one call for each emu_yield(). The test writes a request and its operands, and reads the results in their
 * place. Compiled for a board it runs the core's own kernels, and compiled for the host those in C.
 */
#include "kernels/kernels.h"

enum { ROWS, SILU, SOFTPLUS, CONVOLVE, SCAN };

uint32_t request[4]; /* a kernel and its sizes */
float operands[8192];

/* The next `count` operands. */
static float *take(float **next, uint32_t count)
{
    float *const taken = *next;
    *next += count;
    return taken;
}

void carry_out(void);

void carry_out(void)
{
    float *next = operands;
    switch (request[0]) {
    case ROWS: {
        const uint32_t columns = request[1];
        float *const out = take(&next, GROUP), *const bias = request[3] ? take(&next, GROUP) : NULL;
        const float *const x = take(&next, columns), *const weight = next;
        if (request[2] == GROUP) multiply_rows(out, bias, weight, x, columns, GROUP);
        else multiply_rows(out, bias, weight, x, columns, GROUP / 2u);
        break;
    }
    case SILU: silu_all(operands, request[1]); break;
    case SOFTPLUS: softplus_all(operands, request[1]); break;
    case CONVOLVE: {
        const uint32_t K = request[1], count = request[2];
        float *const u = take(&next, GROUP), *const x = take(&next, GROUP), *const bias = take(&next, GROUP);
        const float *const weight = take(&next, GROUP * K);
        convolve(u, x, next, weight, bias, K, count);
        break;
    }
    case SCAN: {
        const uint32_t N = request[1], count = request[2];
        struct scan_channels channels;
        channels.u = take(&next, GROUP);
        channels.end = channels.u + count;
        channels.dt = take(&next, GROUP + GROUP);
        channels.dt_limit = take(&next, GROUP);
        channels.skip = take(&next, GROUP);
        channels.B = take(&next, N);
        channels.C = take(&next, N);
        channels.rate = take(&next, GROUP * N);
        channels.state = next;
        channels.row_bytes = N * (uint32_t)sizeof(float);
        scan(&channels);
        break;
    }
    default: break;
    }
}

#ifndef HOST
void emu_yield(void);

__attribute__((noinline)) void emu_yield(void) { __asm__ volatile("" ::: "memory"); }

int main(void)
{
    for (;;) {
        emu_yield();
        carry_out();
    }
}
#endif
