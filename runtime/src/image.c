/* Reading a model image: every value is checked before its use, and no input makes the engine read or write outside the
 * image and the arena. */
#include "image.h"

#include "kernels/kernels.h"

enum buffer { INPUT, U, HIDDEN, NORMED, POOLED, OUTPUT, IN_PLACE };
enum dimension { ONE, IN, OUT, D, N, K, R, X, Y, V, DIMENSIONS };
enum storage { MATRIX, BIAS, FLOATS };
enum presence { NEEDED, OPTIONAL, IF_ONE };

/* The number of each tensor among the tensors of all kinds, and the number of each kind's first tensor. */
enum {
#define OPERATION(kind, writes, width, parameters)           FIRST_OF_##kind, BEFORE_##kind = FIRST_OF_##kind - 1,
#define TENSOR(kind, name, storage, rows, columns, presence) NUMBER_OF_##name,
#include "ops.def"
    TENSORS
};

static const struct kind {
    uint8_t writes, width, parameters, first_tensor; /* enum buffer, enum dimension, numbers */
} kinds[] = {
#define OPERATION(kind, writes, width, parameters) {writes, width, parameters, FIRST_OF_##kind},
#include "ops.def"
    {0, 0, 0, TENSORS},
};

static const struct tensor {
    uint8_t storage, rows, columns, presence; /* enum storage, dimension, dimension, presence */
} tensors[] = {
#define TENSOR(kind, name, storage, rows, columns, presence) {storage, rows, columns, presence},
#include "ops.def"
};

static uint32_t tensor_count(uint32_t kind) { return kinds[kind + 1u].first_tensor - (uint32_t)kinds[kind].first_tensor; }

const struct mamba_operation *mamba_first(const struct mamba_header *header)
{
    return (const struct mamba_operation *)(header + 1);
}

const struct mamba_operation *mamba_next(const struct mamba_operation *operation)
{
    return (const struct mamba_operation *)(operation->offsets + tensor_count(operation->kind));
}

const float *mamba_tensor(const struct mamba_header *header, const struct mamba_operation *operation, enum mamba_slot slot)
{
    const uint32_t offset = operation->offsets[slot];
    return offset == 0 ? NULL : (const float *)(const void *)((const uint8_t *)header + offset);
}

mamba_matrix mamba_tensor_matrix(const struct mamba_header *header, const struct mamba_operation *operation,
                                 enum mamba_slot slot, uint32_t columns)
{
    return (mamba_matrix){(const uint8_t *)mamba_tensor(header, operation, slot), columns, header->matrix_type};
}

/* ---- Validation ---- */

static uint32_t crc32(const uint8_t *bytes, size_t count)
{
    static const uint32_t nibble[16] = {0x00000000u, 0x1db71064u, 0x3b6e20c8u, 0x26d930acu, 0x76dc4190u, 0x6b6b51f4u,
                                        0x4db26158u, 0x5005713cu, 0xedb88320u, 0xf00f9344u, 0xd6d6a3e8u, 0xcb61b38cu,
                                        0x9b64c2b0u, 0x86d3d2d4u, 0xa00ae278u, 0xbdbdf21cu};
    uint32_t crc = ~0u;
    for (size_t i = 0; i < count; i++) {
        crc ^= bytes[i];
        crc = (crc >> 4) ^ nibble[crc & 15u];
        crc = (crc >> 4) ^ nibble[crc & 15u];
    }
    return ~crc;
}

static int dimension_ok(uint32_t value) { return value >= 1u && value <= MAMBA_LARGEST; }

static mamba_status check_header(const struct mamba_header *h, size_t image_bytes)
{
    if (h->magic != MAMBA_MAGIC) return MAMBA_ERROR_MAGIC;
    if (h->version != MAMBA_FORMAT_VERSION) return MAMBA_ERROR_VERSION;
    if (h->image_bytes != image_bytes) return MAMBA_ERROR_TRUNCATED;
    const size_t covered = offsetof(struct mamba_header, n_features);
    if (h->checksum != crc32((const uint8_t *)h + covered, image_bytes - covered)) return MAMBA_ERROR_CHECKSUM;
    const int dimensions_ok = dimension_ok(h->n_features) && dimension_ok(h->n_outputs) && dimension_ok(h->d_model) &&
                              dimension_ok(h->d_inner) && dimension_ok(h->d_state) && h->d_state % 4u == 0 &&
                              dimension_ok(h->d_conv) && dimension_ok(h->dt_rank) && h->dt_rank % 4u == 0 &&
                              dimension_ok(h->n_blocks) && h->n_tokens <= MAMBA_LARGEST;
    return dimensions_ok && h->matrix_type <= MAMBA_INT8 && mamba_has_type(h->matrix_type) ? MAMBA_OK : MAMBA_ERROR_DIMENSION;
}

/* Whether `bytes` bytes at `offset` lie inside the image; a tensor may be absent if it is optional. */
static int bytes_ok(const struct mamba_header *h, uint32_t offset, uint64_t bytes, int optional)
{
    if (offset == 0) return optional;
    return offset % MAMBA_ALIGNMENT == 0 && offset + bytes <= h->image_bytes;
}

/* The bytes of a tensor (rows, columns); missing rows of a matrix and of its bias are in the image too. */
static uint64_t tensor_bytes(const struct mamba_header *h, uint8_t storage, uint32_t rows, uint32_t columns)
{
    if (storage == MATRIX) return product(mamba_padded(rows), mamba_row_bytes(h->matrix_type, columns));
    return product(storage == BIAS ? mamba_padded(rows) : rows, columns) * sizeof(float);
}

/* The vector on its way through the model, between two operations. */
struct flow {
    uint32_t width;
    uint32_t at;     /* enum buffer: holds the vector */
    uint32_t kept;   /* the width of the vector that a FORK kept, or 0 */
    uint32_t mixers; /* number so far */
};

/* Whether the engine can run the operation after its predecessors; `out` is the width of its result. */
static int follows(const struct mamba_header *h, const struct mamba_operation *op, uint32_t out, struct flow *flow)
{
    const struct kind *kind = &kinds[op->kind];
    const uint32_t kept = flow->kept, before = flow->at;
    if (op->in != flow->width || op->out != out || !dimension_ok(out) || op->parameter >= kind->parameters) return 0;
    flow->width = out;
    if (before == POOLED || before == OUTPUT) { /* the head */
        flow->at = OUTPUT;
        return op->kind == MAMBA_NORM || op->kind == MAMBA_ACTIVATION || (op->kind == MAMBA_LINEAR && op->parameter == 0);
    }
    if (before == kind->writes && op->kind != MAMBA_FORK && op->kind != MAMBA_NORM) return 0;
    if ((kind->writes == HIDDEN || kind->writes == NORMED) && out > h->d_model) return 0;
    if (kind->writes == HIDDEN) flow->kept = op->kind == MAMBA_FORK ? out : 0;
    flow->mixers += op->kind == MAMBA_MIXER;
    if (kind->writes != IN_PLACE) flow->at = kind->writes;
    switch (op->kind) {
    case MAMBA_LINEAR: return op->parameter == MAMBA_LINEAR_ADDS ? kept == out : kept == 0;
    case MAMBA_FORK: return kept == 0;
    case MAMBA_POOL: return kept == 0 && flow->mixers == h->n_blocks;
    case MAMBA_ACTIVATION: return before != INPUT && !(before == HIDDEN && kept > 0);
    case MAMBA_EMBEDDING: return before == INPUT && h->n_tokens > 0;
    default: return 1;
    }
}

/* Whether the operation lies inside the image, may follow its predecessors, and has all its tensors inside the image. */
static mamba_status check_operation(const struct mamba_header *h, const struct mamba_operation *op, struct flow *flow)
{
    const size_t before = (size_t)((const uint8_t *)op - (const uint8_t *)h), left = h->image_bytes - before;
    if (left < sizeof *op) return MAMBA_ERROR_TRUNCATED;
    if (op->kind >= MAMBA_KINDS || op->parameter >= 8u || !mamba_has(op->kind, op->parameter)) return MAMBA_ERROR_OPERATION;
    const uint32_t count = tensor_count(op->kind);
    if (left - sizeof *op < count * sizeof(uint32_t)) return MAMBA_ERROR_TRUNCATED;

    const uint32_t dimensions[DIMENSIONS] = {
        [ONE] = 1, [IN] = op->in, [OUT] = op->out, [D] = h->d_inner, [N] = h->d_state, [K] = h->d_conv, [R] = h->dt_rank,
        [X] = h->dt_rank + 2u * h->d_state, [Y] = h->dt_rank + 2u * h->d_state + 4u, [V] = h->n_tokens,
    };
    if (!follows(h, op, dimensions[kinds[op->kind].width], flow)) return MAMBA_ERROR_OPERATION;
    const struct tensor *t = tensors + kinds[op->kind].first_tensor;
    for (uint32_t slot = 0; slot < count; slot++, t++) {
        const uint64_t bytes = tensor_bytes(h, t->storage, dimensions[t->rows], dimensions[t->columns]);
        const int optional = t->presence == OPTIONAL || (t->presence == IF_ONE && op->parameter != 1u);
        if (!bytes_ok(h, op->offsets[slot], bytes, optional)) return MAMBA_ERROR_TENSOR;
    }
    return MAMBA_OK;
}

static mamba_status check_operations(const struct mamba_header *h)
{
    struct flow flow = {h->n_features, INPUT, 0, 0};
    const struct mamba_operation *op = mamba_first(h);
    for (uint32_t left = h->n_operations; left > 0; left--, op = mamba_next(op)) {
        const mamba_status status = check_operation(h, op, &flow);
        if (status != MAMBA_OK) return status;
    }
    const int pooled = flow.at == POOLED || flow.at == OUTPUT;
    return pooled && flow.width == h->n_outputs ? MAMBA_OK : MAMBA_ERROR_OPERATION;
}

mamba_status mamba_open(mamba_model *model, const void *image, size_t image_bytes)
{
    const struct mamba_header *header = image;
    if ((uintptr_t)image % MAMBA_ALIGNMENT != 0) return MAMBA_ERROR_ALIGNMENT;
    if (image_bytes < sizeof *header) return MAMBA_ERROR_TRUNCATED;
    mamba_status status = check_header(header, image_bytes);
    if (status == MAMBA_OK) status = check_operations(header);
    if (status != MAMBA_OK) return status;
    if (mamba_layout(header, NULL, NULL) != header->arena_bytes) return MAMBA_ERROR_ARENA;
    model->header = header;
    model->n_features = header->n_features;
    model->n_outputs = header->n_outputs;
    return MAMBA_OK;
}

/* ---- Arena ---- */

/* Take `floats` floats, rounded up so that the next buffer is aligned. Sizes fit 64 bits: see MAMBA_LARGEST. */
static __attribute__((noinline)) float *take(float *arena, uint64_t *used, uint64_t floats)
{
    float *buffer = arena ? arena + *used : NULL;
    *used += (floats + 3u) & ~(uint64_t)3u;
    return buffer;
}

uint64_t mamba_layout(const struct mamba_header *h, float *arena, mamba_sequence *sequence)
{
    uint32_t written = 0, at = INPUT; /* a bit for each buffer, and the last buffer */
    uint32_t left = h->n_operations;
    const struct mamba_operation *op = mamba_first(h);
    for (; op->kind != MAMBA_POOL; op = mamba_next(op), left--) {
        if (kinds[op->kind].writes != IN_PLACE) at = kinds[op->kind].writes;
        written |= 1u << at;
    }
    mamba_sequence unused;
    mamba_sequence *s = sequence ? sequence : &unused;
    uint64_t used = 0;
    s->state = take(arena, &used, product(product(h->n_blocks, h->d_inner), h->d_state));
    s->tail = take(arena, &used, product(product(h->n_blocks, h->d_inner), h->d_conv - 1u));
    s->u = take(arena, &used, h->d_inner);
    s->x_dbl = take(arena, &used, h->dt_rank + 2u * h->d_state);
    s->hidden = written & 1u << HIDDEN ? take(arena, &used, h->d_model) : NULL;
    s->normed = written & 1u << NORMED ? take(arena, &used, h->d_model) : NULL;
    if (op->parameter != MAMBA_POOL_LAST && op->parameter != MAMBA_POOL_NONE) s->pooled = take(arena, &used, op->in);
    else s->pooled = at == U ? s->u : at == HIDDEN ? s->hidden : s->normed;
    uint32_t widest = 0, vectors = 0; /* of the head, without the outputs */
    for (op = mamba_next(op); left > 2u; op = mamba_next(op), left--) {
        if (op->out > widest) widest = op->out;
        vectors += vectors == 0 || op->kind == MAMBA_LINEAR;
    }
    s->head[0] = vectors > 0 ? take(arena, &used, widest) : NULL;
    s->head[1] = vectors > 1u ? take(arena, &used, widest) : NULL;
    return used * sizeof(float);
}
