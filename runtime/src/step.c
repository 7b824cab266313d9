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
        convolve(s->u + first, x, tail + (size_t)first * (K - 1), conv_weight + (size_t)first * K, conv_bias + first, K, count);
    }
    mamba_trace(MAMBA_TRACE_CONV, block, 0, s->u, D);
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
    float dt_and_z[GROUP + GROUP], *const dt = dt_and_z, *const z = dt_and_z + GROUP;
    struct scan_channels channels;
    channels.rate = mamba_tensor(h, op, MAMBA_RATE);         /* (D, N) */
    channels.state = s->state + (size_t)block * D * N;       /* (D, N) */
    channels.B = s->x_dbl + R;                               /* (N) */
    channels.C = s->x_dbl + R + N;                           /* (N) */
    channels.dt = dt_and_z;
    channels.u = s->u;                                       /* (D) */
    channels.dt_limit = mamba_tensor(h, op, MAMBA_DT_LIMIT); /* (D) */
    channels.skip = mamba_tensor(h, op, MAMBA_SKIP);         /* (D) */
    channels.row_bytes = N * (uint32_t)sizeof(float);

    for (uint32_t first = 0; first < D; first += GROUP) {
        const uint32_t count = D - first < GROUP ? D - first : GROUP;
        mamba_rows(z, &in_z, first, count, in_bias, input);
        mamba_rows(dt, &dt_proj, first, count, dt_bias, s->x_dbl);
        mamba_trace(MAMBA_TRACE_IN_Z, block, first, z, count);
        softplus_all(dt, count);
        silu_all(z, count);
        mamba_trace(MAMBA_TRACE_DT, block, first, dt, count);
        channels.end = channels.u + count;
        scan(&channels);
        channels.rate += (size_t)count * N;
        channels.state += (size_t)count * N;
        channels.u += count;
        channels.dt_limit += count;
        channels.skip += count;
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
        add_all(s->pooled, x, op->in);
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
