/* One time step of a Mamba model: Gu and Dao, "Mamba: Linear-Time Sequence Modeling with Selective State Spaces"
 * (arXiv 2312.00752), algorithm 2, as a recurrence. Names as in mamba_ssm's mamba_simple.py.
 *
 *     x, z  = in_proj(input)                 B, C, dt = x_proj(u)
 *     u     = silu(conv1d(x))                dt       = softplus(dt_proj(dt))
 *     h     = exp(dt A) h + dt B u           y        = C h + D u
 *     out   = out_proj(y * silu(z))
 *
 * Dimensions: F features, M d_model, D d_inner, N d_state, K d_conv, R dt_rank, C outputs.
 */
#include "image.h"
#include "kernels/kernels.h"
#include "matrix.h"
#include "trace.h"
#include "unroll.h"

#define STAGE static __attribute__((noinline)) /* so that a profile shows where the instructions go */

/* ---- Stages of a block ---- */

/* sum (count) += x (count) */
static void add(float *sum, const float *x, uint32_t count)
{
    UNROLLED_FOR(i, count) sum[i] += x[i];
}

/* out (M) = x (M) / rms(x) * weight (M) */
static void rms_norm(float *out, const float *x, const float *weight, uint32_t M, float epsilon)
{
    float squares = 0.0f;
    for (uint32_t i = 0; i < M; i++) squares += x[i] * x[i];
    const float scale = 1.0f / __builtin_sqrtf(squares / (float)M + epsilon);
    for (uint32_t i = 0; i < M; i++) out[i] = x[i] * scale * weight[i];
}

/* The depthwise causal convolution of one channel; weight (K), tail (K - 1) holds the inputs before x, oldest first. */
static inline __attribute__((always_inline)) float convolve(float x, float *tail, const float *weight, uint32_t K)
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

/* u (D) = silu(conv1d(in_proj.x(input))) */
STAGE void project_and_convolve(const mamba_sequence *s, uint32_t block, const float *input, uint32_t width)
{
    const struct mamba_header *h = s->model->header;
    const uint32_t D = h->d_inner, K = h->d_conv;
    const mamba_matrix in_x = mamba_block_matrix(h, block, MAMBA_IN_X_WEIGHT, width); /* (D, width) */
    const float *in_bias = mamba_block_tensor(h, block, MAMBA_IN_X_BIAS);             /* (D) or NULL */
    const float *conv_weight = mamba_block_tensor(h, block, MAMBA_CONV_WEIGHT);       /* (D, K) */
    const float *conv_bias = mamba_block_tensor(h, block, MAMBA_CONV_BIAS);           /* (D) */
    float *tail = s->tail + (size_t)block * D * (K - 1);                              /* (D, K - 1) */
    float x[GROUP];

    for (uint32_t first = 0; first < D; first += GROUP) {
        const uint32_t count = D - first < GROUP ? D - first : GROUP;
        mamba_rows(x, &in_x, first, count, in_bias, input);
        mamba_trace(MAMBA_TRACE_IN_X, block, first, x, count);
        for (uint32_t i = 0; i < count; i++, conv_weight += K, tail += K - 1) {
            const float sum = K == 4 ? convolve(x[i], tail, conv_weight, 4) : convolve(x[i], tail, conv_weight, K);
            s->u[first + i] = silu(sum + conv_bias[first + i]);
        }
    }
    mamba_trace(MAMBA_TRACE_CONV, block, 0, s->u, D);
}

/* scan() for a time step that may make a decay underflow: an exponent below the table's range counts as its end, 7e-38. */
static __attribute__((noinline)) float scan_long_step(float *state, const float *rate, const float *B, const float *C,
                                                      uint32_t N, float dt, float dt_u)
{
    float y = 0.0f;
    for (uint32_t n = 0; n < N; n++) {
        const float steps = at_least(dt * rate[n], -7900.0f);
        state[n] = exp2_decay(1.0f, steps) * state[n] + dt_u * B[n];
        y += state[n] * C[n];
    }
    return y;
}

/* u (D) = (scan(u) + skip * u) * silu(in_proj.z(input)) */
STAGE void scan_and_gate(const mamba_sequence *s, uint32_t block, const float *input, uint32_t width)
{
    const struct mamba_header *h = s->model->header;
    const uint32_t D = h->d_inner, N = h->d_state, R = h->dt_rank;
    const mamba_matrix in_z = mamba_block_matrix(h, block, MAMBA_IN_Z_WEIGHT, width); /* (D, width) */
    const float *in_bias = mamba_block_tensor(h, block, MAMBA_IN_Z_BIAS);             /* (D) or NULL */
    const mamba_matrix dt_proj = mamba_block_matrix(h, block, MAMBA_DT_WEIGHT, R);    /* (D, R) */
    const float *dt_bias = mamba_block_tensor(h, block, MAMBA_DT_BIAS);               /* (D) */
    const float *rate = mamba_block_tensor(h, block, MAMBA_RATE);                     /* (D, N) */
    const float *dt_limit = mamba_block_tensor(h, block, MAMBA_DT_LIMIT);             /* (D) */
    const float *skip = mamba_block_tensor(h, block, MAMBA_SKIP);                     /* (D) */
    const float *B = s->x_dbl + R, *C = B + N;                                        /* (N) each */
    float *state = s->state + (size_t)block * D * N;                                  /* (D, N) */
    float z[GROUP], dt[GROUP];

    for (uint32_t first = 0; first < D; first += GROUP) {
        const uint32_t count = D - first < GROUP ? D - first : GROUP;
        mamba_rows(z, &in_z, first, count, in_bias, input);
        mamba_rows(dt, &dt_proj, first, count, dt_bias, s->x_dbl);
        mamba_trace(MAMBA_TRACE_IN_Z, block, first, z, count);
        for (uint32_t i = 0; i < count; i++) dt[i] = softplus(dt[i]);
        for (uint32_t i = 0; i < count; i++) z[i] = silu(z[i]);
        for (uint32_t i = 0; i < count; i++, rate += N, state += N) {
            const uint32_t channel = first + i;
            const float u = s->u[channel];
            const float y = dt[i] <= dt_limit[channel] ? scan(state, rate, B, C, N, dt[i], dt[i] * u)
                                                       : scan_long_step(state, rate, B, C, N, dt[i], dt[i] * u);
            s->u[channel] = (y + skip[channel] * u) * z[i];
        }
        mamba_trace(MAMBA_TRACE_DT, block, first, dt, count);
    }
    mamba_trace(MAMBA_TRACE_GATED, block, 0, s->u, D);
}

/* Block `block` on input (width); the result is in s->hidden (M), or in s->u (D) if out_proj is folded. */
static void step_block(const mamba_sequence *s, uint32_t block, const float *input, uint32_t width)
{
    const struct mamba_header *h = s->model->header;
    const uint32_t M = h->d_model, D = h->d_inner;
    const int residual = (h->flags & MAMBA_FLAG_RESIDUAL) != 0;
    if (residual) {
        rms_norm(s->normed, input, mamba_block_tensor(h, block, MAMBA_NORM_WEIGHT), M, h->norm_epsilon);
        input = s->normed;
    }
    project_and_convolve(s, block, input, width);
    const mamba_matrix x_proj = mamba_block_matrix(h, block, MAMBA_X_PROJ, D);     /* (R + N + N, D) */
    const mamba_matrix out_proj = mamba_block_matrix(h, block, MAMBA_OUT_WEIGHT, D); /* (M, D) or absent */
    mamba_matrix_vector(s->x_dbl, &x_proj, h->dt_rank + 2 * h->d_state, NULL, s->u, 0);
    mamba_trace(MAMBA_TRACE_X_PROJ, block, 0, s->x_dbl, h->dt_rank + 2 * h->d_state);
    scan_and_gate(s, block, input, width);
    if (out_proj.data) {
        mamba_matrix_vector(s->hidden, &out_proj, M, mamba_block_tensor(h, block, MAMBA_OUT_BIAS), s->u, residual);
        mamba_trace(MAMBA_TRACE_OUTPUT, block, 0, s->hidden, M);
    }
}

/* The vector that is pooled: (M), or (D) if the last out_proj is folded. */
static const float *final_vector(const mamba_sequence *s)
{
    const struct mamba_header *h = s->model->header;
    if (mamba_model_tensor(h, MAMBA_NORM_F)) return s->normed;
    return mamba_out_proj_is_folded(h) ? s->u : s->hidden;
}

/* ---- The public face ---- */

size_t mamba_arena_bytes(const mamba_model *model) { return model->header->arena_bytes; }

mamba_status mamba_start(mamba_sequence *sequence, const mamba_model *model, void *arena, size_t arena_bytes)
{
    if ((uintptr_t)arena % MAMBA_ALIGNMENT != 0) return MAMBA_ERROR_ALIGNMENT;
    if (arena_bytes < model->header->arena_bytes) return MAMBA_ERROR_ARENA;
    float *floats = arena;
    for (uint32_t i = 0; i < model->header->arena_bytes / sizeof(float); i++) floats[i] = 0.0f;
    mamba_layout(model->header, arena, sequence);
    sequence->model = model;
    sequence->steps = 0;
    return MAMBA_OK;
}

void mamba_step(mamba_sequence *s, const float *x)
{
    const struct mamba_header *h = s->model->header;
    const mamba_matrix linear_in = mamba_model_matrix(h, MAMBA_LINEAR_IN_WEIGHT, h->n_features); /* (M, F) or absent */
    const float *norm_f = mamba_model_tensor(h, MAMBA_NORM_F);                                   /* (M) or NULL */
    const float *input = x;
    uint32_t width = h->n_features;
    if (linear_in.data) {
        mamba_matrix_vector(s->hidden, &linear_in, h->d_model, mamba_model_tensor(h, MAMBA_LINEAR_IN_BIAS), x, 0);
        mamba_trace(MAMBA_TRACE_LINEAR_IN, 0, 0, s->hidden, h->d_model);
        input = s->hidden;
        width = h->d_model;
    } else if (h->flags & MAMBA_FLAG_RESIDUAL) {
        for (uint32_t i = 0; i < h->d_model; i++) s->hidden[i] = x[i]; /* the residual is added in place */
        input = s->hidden;
    }
    for (uint32_t block = 0; block < h->n_blocks; block++) {
        step_block(s, block, input, width);
        input = s->hidden;
        width = h->d_model;
    }
    if (norm_f) rms_norm(s->normed, s->hidden, norm_f, h->d_model, h->norm_epsilon);
    if (s->pooled) add(s->pooled, final_vector(s), mamba_pooled_width(h));
    s->steps++;
}

mamba_status mamba_finish(const mamba_sequence *s, float *logits)
{
    const struct mamba_header *h = s->model->header;
    if (s->steps == 0) return MAMBA_ERROR_EMPTY;
    const float *pooled = s->pooled ? s->pooled : final_vector(s);                                    /* (M or D) */
    const float scale = s->pooled ? 1.0f / (float)s->steps : 1.0f;                                    /* the mean's 1 / T */
    const mamba_matrix head = mamba_model_matrix(h, MAMBA_HEAD_WEIGHT, mamba_pooled_width(h));        /* or absent */
    const float *bias = mamba_model_tensor(h, MAMBA_HEAD_BIAS);                                       /* (C) or NULL */
    if (head.data) mamba_matrix_vector(logits, &head, h->n_outputs, NULL, pooled, 0);
    for (uint32_t i = 0; i < h->n_outputs; i++) {
        logits[i] = (head.data ? logits[i] : pooled[i]) * scale + (bias ? bias[i] : 0.0f);
    }
    return MAMBA_OK;
}
