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
#include "activation.h"
#include "image.h"
#include "kernels/kernels.h"
#include "matrix.h"
#include "trace.h"
#include "unroll.h"

#define STAGE static __attribute__((noinline)) /* so that a profile shows where the instructions go */

/* ---- Stages of the mixer ---- */

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
STAGE void project_and_convolve(const mamba_sequence *s, const struct mamba_operation *op, uint32_t block, const float *input)
{
    const struct mamba_header *h = s->model->header;
    const uint32_t D = h->d_inner, K = h->d_conv;
    const mamba_matrix in_x = mamba_tensor_matrix(h, op, MAMBA_IN_X_WEIGHT, op->in); /* (D, in) */
    const float *in_bias = mamba_tensor(h, op, MAMBA_IN_X_BIAS);                     /* (D) or NULL */
    const float *conv_weight = mamba_tensor(h, op, MAMBA_CONV_WEIGHT);               /* (D, K) */
    const float *conv_bias = mamba_tensor(h, op, MAMBA_CONV_BIAS);                   /* (D) */
    float *tail = s->tail + (size_t)block * D * (K - 1);                             /* (D, K - 1) */
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
STAGE void scan_and_gate(const mamba_sequence *s, const struct mamba_operation *op, uint32_t block, const float *input)
{
    const struct mamba_header *h = s->model->header;
    const uint32_t D = h->d_inner, N = h->d_state, R = h->dt_rank;
    const mamba_matrix in_z = mamba_tensor_matrix(h, op, MAMBA_IN_Z_WEIGHT, op->in); /* (D, in) */
    const float *in_bias = mamba_tensor(h, op, MAMBA_IN_Z_BIAS);                     /* (D) or NULL */
    const mamba_matrix dt_proj = mamba_tensor_matrix(h, op, MAMBA_DT_WEIGHT, R);     /* (D, R) */
    const float *dt_bias = mamba_tensor(h, op, MAMBA_DT_BIAS);                       /* (D) */
    const float *rate = mamba_tensor(h, op, MAMBA_RATE);                             /* (D, N) */
    const float *dt_limit = mamba_tensor(h, op, MAMBA_DT_LIMIT);                     /* (D) */
    const float *skip = mamba_tensor(h, op, MAMBA_SKIP);                             /* (D) */
    const float *B = s->x_dbl + R, *C = B + N;                                       /* (N) each */
    float *state = s->state + (size_t)block * D * N;                                 /* (D, N) */
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

/* x (width) = weight (width) * x / sqrt(x . x + epsilon), with the width's root in the weight and the width in epsilon */
static void inner_norm(float *x, const float *weight, uint32_t width, float epsilon)
{
    float squares = epsilon;
    for (uint32_t i = 0; i < width; i++) squares += x[i] * x[i];
    const float scale = 1.0f / __builtin_sqrtf(squares);
    for (uint32_t i = 0; i < width; i++) x[i] *= scale * weight[i];
}

/* A norm each on dt (R), B (N) and C (N), in x_dbl. */
STAGE void norm_dt_b_c(const mamba_sequence *s, const struct mamba_operation *op)
{
    const struct mamba_header *h = s->model->header;
    const uint32_t N = h->d_state, R = h->dt_rank;
    const float *weight = mamba_tensor(h, op, MAMBA_INNER_NORM), *epsilon = weight + R + 2 * N; /* (R + N + N), (3) */
    inner_norm(s->x_dbl, weight, R, epsilon[0]);
    inner_norm(s->x_dbl + R, weight + R, N, epsilon[1]);
    inner_norm(s->x_dbl + R + N, weight + R + N, N, epsilon[2]);
}

/* ---- Operations: each takes the vector x (in), and returns its result (out) ---- */

/* Row x of the table (V, out); NaN if x is no token's number. */
static float *embedding(const mamba_sequence *s, const struct mamba_operation *op, const float *x)
{
    const struct mamba_header *h = s->model->header;
    const mamba_matrix table = mamba_tensor_matrix(h, op, MAMBA_EMBEDDING_WEIGHT, op->out);
    const int known = x[0] >= 0.0f && x[0] < (float)h->n_tokens;
    mamba_matrix_row(s->hidden, &table, h->n_tokens, known ? (uint32_t)x[0] : 0);
    if (!known) for (uint32_t i = 0; i < op->out; i++) s->hidden[i] = __builtin_nanf("");
    return s->hidden;
}

/* y = weight (in) * x / rms(x) + bias (in); for LayerNorm of x without its mean */
static float *norm(const mamba_sequence *s, const struct mamba_operation *op, float *y, const float *x)
{
    const float *weight = mamba_tensor(s->model->header, op, MAMBA_NORM_WEIGHT);
    const float *bias = mamba_tensor(s->model->header, op, MAMBA_NORM_BIAS); /* or NULL */
    const float epsilon = *mamba_tensor(s->model->header, op, MAMBA_NORM_EPSILON);
    const float share = 1.0f / (float)op->in;
    float mean = 0.0f, squares = 0.0f;
    if (mamba_is(op, MAMBA_NORM, MAMBA_NORM_LAYER)) for (uint32_t i = 0; i < op->in; i++) mean += x[i] * share;
    for (uint32_t i = 0; i < op->in; i++) squares += (x[i] - mean) * (x[i] - mean);
    const float scale = 1.0f / __builtin_sqrtf(squares * share + epsilon);
    for (uint32_t i = 0; i < op->in; i++) y[i] = (x[i] - mean) * scale * weight[i] + (bias ? bias[i] : 0.0f);
    return y;
}

/* x (in) becomes its activation. */
STAGE void activate(const struct mamba_operation *op, float *x)
{
    for (uint32_t i = 0; i < op->in; i++) {
        if (mamba_is(op, MAMBA_ACTIVATION, MAMBA_GELU)) x[i] = gelu(x[i]);
        else if (mamba_is(op, MAMBA_ACTIVATION, MAMBA_RELU)) x[i] = relu(x[i]);
        else if (mamba_is(op, MAMBA_ACTIVATION, MAMBA_TANH)) x[i] = hyperbolic_tangent(x[i]);
        else if (mamba_is(op, MAMBA_ACTIVATION, MAMBA_SIGMOID)) x[i] = sigmoid(x[i]);
        else if (mamba_has(MAMBA_ACTIVATION, 0)) x[i] = silu(x[i]);
    }
}

/* y (D) * silu(z), with the state and the tail of mixer `block` */
static float *mixer(const mamba_sequence *s, const struct mamba_operation *op, uint32_t block, const float *x)
{
    const struct mamba_header *h = s->model->header;
    const mamba_matrix x_proj = mamba_tensor_matrix(h, op, MAMBA_X_PROJ, h->d_inner); /* (R + N + N, D) */
    project_and_convolve(s, op, block, x);
    mamba_matrix_vector(s->x_dbl, &x_proj, h->dt_rank + 2 * h->d_state, NULL, s->u, 0);
    mamba_trace(MAMBA_TRACE_X_PROJ, block, 0, s->x_dbl, h->dt_rank + 2 * h->d_state);
    if (mamba_is(op, MAMBA_MIXER, MAMBA_MIXER_NORMS)) norm_dt_b_c(s, op);
    scan_and_gate(s, op, block, x);
    return s->u;
}

/* weight (out, in) x + bias (out), with parameter 1 added to the vector that fork_residual() kept */
static float *linear(const mamba_sequence *s, const struct mamba_operation *op, const float *x)
{
    const struct mamba_header *h = s->model->header;
    const mamba_matrix weight = mamba_tensor_matrix(h, op, MAMBA_LINEAR_WEIGHT, op->in);
    const float *bias = mamba_tensor(h, op, MAMBA_LINEAR_BIAS); /* or NULL */
    mamba_matrix_vector(s->hidden, &weight, op->out, bias, x, mamba_is(op, MAMBA_LINEAR, MAMBA_LINEAR_ADDS));
    return s->hidden;
}

/* x, kept until a linear() adds to it */
static float *fork_residual(const mamba_sequence *s, const struct mamba_operation *op, const float *x)
{
    if (x == s->hidden) return s->hidden;
    for (uint32_t i = 0; i < op->in; i++) s->hidden[i] = x[i];
    return s->hidden;
}

/* s->pooled (in) += x, or the larger of both for the maximum. If only this step counts, x is already in s->pooled. */
static void pool(const mamba_sequence *s, const struct mamba_operation *op, const float *x)
{
    if (mamba_is(op, MAMBA_POOL, MAMBA_POOL_LAST) || mamba_is(op, MAMBA_POOL, MAMBA_POOL_NONE)) return;
    if (mamba_is(op, MAMBA_POOL, MAMBA_POOL_MAX)) {
        for (uint32_t i = 0; i < op->in; i++)
            if (s->steps == 0 || !(x[i] <= s->pooled[i])) s->pooled[i] = x[i]; /* a NaN stays */
    } else {
        UNROLLED_FOR(i, op->in) s->pooled[i] += x[i];
    }
}

/* One operation of the head: y (out) of x (in) * scale. y may be x, unless the operation is a LINEAR. */
static void head(const mamba_sequence *s, const struct mamba_operation *op, float *y, const float *x, float scale)
{
    const struct mamba_header *h = s->model->header;
    if (op->kind == MAMBA_LINEAR) {
        const mamba_matrix weight = mamba_tensor_matrix(h, op, MAMBA_LINEAR_WEIGHT, op->in); /* (out, in) */
        const float *bias = mamba_tensor(h, op, MAMBA_LINEAR_BIAS);                          /* (out) or NULL */
        mamba_matrix_vector(y, &weight, op->out, NULL, x, 0);
        for (uint32_t i = 0; i < op->out; i++) y[i] = y[i] * scale + (bias ? bias[i] : 0.0f);
        return;
    }
    for (uint32_t i = 0; i < op->out; i++) y[i] = x[i] * scale;
    if (mamba_has_kind(MAMBA_NORM) && op->kind == MAMBA_NORM) norm(s, op, y, y);
    if (mamba_has_kind(MAMBA_ACTIVATION) && op->kind == MAMBA_ACTIVATION) activate(op, y);
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
    uint32_t mixers = 0; /* number so far */
    float *y = NULL;     /* the last result */
    for (const struct mamba_operation *op = mamba_first(s->model->header);; op = mamba_next(op), x = y) {
        switch (op->kind) {
        case MAMBA_NORM: if (mamba_has_kind(MAMBA_NORM)) y = norm(s, op, s->normed, x); break;
        case MAMBA_MIXER: y = mixer(s, op, mixers++, x); break;
        case MAMBA_FORK: if (mamba_has_kind(MAMBA_FORK)) y = fork_residual(s, op, x); break;
        case MAMBA_EMBEDDING: if (mamba_has_kind(MAMBA_EMBEDDING)) y = embedding(s, op, x); break;
        case MAMBA_ACTIVATION: if (mamba_has_kind(MAMBA_ACTIVATION)) activate(op, y); break;
        case MAMBA_LINEAR:
            y = linear(s, op, x);
            mamba_trace(mixers > 0 ? MAMBA_TRACE_OUTPUT : MAMBA_TRACE_LINEAR_IN, mixers > 0 ? mixers - 1 : 0, 0, y, op->out);
            break;
        default: /* MAMBA_POOL: mamba_finish() runs the rest */
            pool(s, op, x);
            s->steps++;
            return;
        }
    }
}

mamba_status mamba_finish(const mamba_sequence *s, float *logits)
{
    const struct mamba_header *h = s->model->header;
    const struct mamba_operation *op = mamba_first(h);
    uint32_t left = h->n_operations - 1; /* after op */
    if (s->steps == 0) return MAMBA_ERROR_EMPTY;
    for (; op->kind != MAMBA_POOL; op = mamba_next(op)) left--;
    float scale = mamba_is(op, MAMBA_POOL, 0) ? 1.0f / (float)s->steps : 1.0f; /* the mean's 1 / T */
    float *x = s->pooled;
    if (left == 0) for (uint32_t i = 0; i < h->n_outputs; i++) logits[i] = x[i] * scale;
    for (; left > 0; left--, scale = 1.0f) {
        op = mamba_next(op);
        float *next = x == s->head[0] ? s->head[1] : s->head[0];
        if (x != s->pooled && op->kind != MAMBA_LINEAR) next = x;
        if (left == 1u) next = logits;
        head(s, op, next, x, scale);
        x = next;
    }
    return MAMBA_OK;
}
