/* Reading a model image: nothing in it is believed before it is checked, and no input makes the engine read or write
 * outside the image and the arena. */
#include "image.h"

#include "kernels/kernels.h"

static const uint32_t *offsets(const struct mamba_header *header) { return (const uint32_t *)(header + 1); }

static const float *tensor_at(const struct mamba_header *header, uint32_t offset)
{
    return offset == 0 ? NULL : (const float *)(const void *)((const uint8_t *)header + offset);
}

const float *mamba_model_tensor(const struct mamba_header *header, uint32_t slot)
{
    return tensor_at(header, offsets(header)[slot]);
}

const float *mamba_block_tensor(const struct mamba_header *header, uint32_t block, uint32_t slot)
{
    return tensor_at(header, offsets(header)[MAMBA_MODEL_TENSORS + block * MAMBA_BLOCK_TENSORS + slot]);
}

mamba_matrix mamba_model_matrix(const struct mamba_header *header, uint32_t slot, uint32_t columns)
{
    return (mamba_matrix){(const uint8_t *)mamba_model_tensor(header, slot), columns, header->matrix_type};
}

mamba_matrix mamba_block_matrix(const struct mamba_header *header, uint32_t block, uint32_t slot, uint32_t columns)
{
    return (mamba_matrix){(const uint8_t *)mamba_block_tensor(header, block, slot), columns, header->matrix_type};
}

int mamba_out_proj_is_folded(const struct mamba_header *header)
{
    return mamba_block_tensor(header, header->n_blocks - 1, MAMBA_OUT_WEIGHT) == NULL;
}

uint32_t mamba_pooled_width(const struct mamba_header *header)
{
    return mamba_out_proj_is_folded(header) ? header->d_inner : header->d_model;
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
                              dimension_ok(h->n_blocks);
    if (!dimensions_ok || (h->flags & ~(uint32_t)MAMBA_FLAGS) || h->matrix_type > MAMBA_INT8 || !(h->norm_epsilon >= 0.0f)) {
        return MAMBA_ERROR_DIMENSION;
    }
    const uint64_t table = (uint64_t)MAMBA_MODEL_TENSORS + product(h->n_blocks, MAMBA_BLOCK_TENSORS);
    return sizeof *h + table * sizeof(uint32_t) <= image_bytes ? MAMBA_OK : MAMBA_ERROR_TRUNCATED;
}

/* Whether `bytes` bytes at `offset` lie inside the image; an absent tensor is right if it is optional. */
static int bytes_ok(const struct mamba_header *h, uint32_t offset, uint64_t bytes, int optional)
{
    if (offset == 0) return optional;
    return offset % MAMBA_ALIGNMENT == 0 && offset + bytes <= h->image_bytes;
}

/* ---- Layers ---- */

enum layer {
#define LAYER(layer) LAYER_##layer,
#define MATRIX(layer, name, rows, columns, presence)
#define BIAS(layer, name, rows, columns, presence)
#define FLOATS(layer, name, rows, columns, presence)
#include "ops.def"
#undef LAYER
#undef MATRIX
#undef BIAS
#undef FLOATS
    LAYERS
};

enum dimension { ONE, IN, OUT, D, N, K, R, X, DIMENSIONS };
enum storage { STORED_MATRIX, STORED_BIAS, STORED_FLOATS };
enum presence { NEEDED, OPTIONAL };

static const struct tensor {
    uint8_t layer, storage, rows, columns, presence; /* enum layer, storage, dimension, dimension, presence */
} tensors[] = {
#define LAYER(layer)
#define MATRIX(layer, name, rows, columns, presence) {LAYER_##layer, STORED_MATRIX, rows, columns, presence},
#define BIAS(layer, name, rows, columns, presence)   {LAYER_##layer, STORED_BIAS, rows, columns, presence},
#define FLOATS(layer, name, rows, columns, presence) {LAYER_##layer, STORED_FLOATS, rows, columns, presence},
#include "ops.def"
#undef LAYER
#undef MATRIX
#undef BIAS
#undef FLOATS
};

/* The bytes of a tensor (rows, columns); missing rows of a matrix and of its bias are in the image too. */
static uint64_t tensor_bytes(const struct mamba_header *h, uint8_t storage, uint32_t rows, uint32_t columns)
{
    if (storage == STORED_MATRIX) return product(mamba_padded(rows), mamba_row_bytes(h->matrix_type, columns));
    return product(storage == STORED_BIAS ? mamba_padded(rows) : rows, columns) * sizeof(float);
}

/* Whether all tensors of a layer lie inside the image; `slot` holds their offsets. An absent layer has none of them. */
static int layer_ok(const struct mamba_header *h, enum layer layer, const uint32_t *slot, uint32_t in, uint32_t out, int absent)
{
    const uint32_t dimensions[DIMENSIONS] = {
        [ONE] = 1, [IN] = in, [OUT] = out, [D] = h->d_inner, [N] = h->d_state, [K] = h->d_conv, [R] = h->dt_rank,
        [X] = h->dt_rank + 2u * h->d_state,
    };
    for (const struct tensor *t = tensors; t < tensors + sizeof tensors / sizeof *tensors; t++) {
        if (t->layer != layer) continue;
        const uint64_t bytes = tensor_bytes(h, t->storage, dimensions[t->rows], dimensions[t->columns]);
        if (!bytes_ok(h, *slot++, bytes, absent || t->presence == OPTIONAL)) return 0;
    }
    return 1;
}

static int block_ok(const struct mamba_header *h, uint32_t block)
{
    const uint32_t *slot = offsets(h) + MAMBA_MODEL_TENSORS + block * MAMBA_BLOCK_TENSORS;
    const int residual = (h->flags & MAMBA_FLAG_RESIDUAL) != 0;
    const int last = block == h->n_blocks - 1u;
    const uint32_t width = block == 0 && offsets(h)[MAMBA_LINEAR_IN_WEIGHT] == 0 ? h->n_features : h->d_model;
    return (slot[MAMBA_NORM_WEIGHT] != 0) == residual &&
           layer_ok(h, LAYER_NORM, slot + MAMBA_NORM_WEIGHT, h->d_model, h->d_model, 1) &&
           layer_ok(h, LAYER_MIXER, slot + MAMBA_IN_X_WEIGHT, width, h->d_inner, 0) &&
           layer_ok(h, LAYER_LINEAR, slot + MAMBA_OUT_WEIGHT, h->d_inner, h->d_model, last && !residual);
}

static int layers_ok(const struct mamba_header *h)
{
    const uint32_t *slot = offsets(h);
    const int residual = (h->flags & MAMBA_FLAG_RESIDUAL) != 0;
    for (uint32_t block = 0; block < h->n_blocks; block++) {
        if (!block_ok(h, block)) return 0;
    }
    const uint32_t pooled = mamba_pooled_width(h);
    return (slot[MAMBA_LINEAR_IN_WEIGHT] != 0 || !residual || h->n_features == h->d_model) &&
           layer_ok(h, LAYER_LINEAR, slot + MAMBA_LINEAR_IN_WEIGHT, h->n_features, h->d_model, 1) &&
           (slot[MAMBA_NORM_F] == 0 || residual) &&
           layer_ok(h, LAYER_NORM, slot + MAMBA_NORM_F, h->d_model, h->d_model, 1) &&
           (slot[MAMBA_HEAD_WEIGHT] != 0 || h->n_outputs == pooled) &&
           layer_ok(h, LAYER_LINEAR, slot + MAMBA_HEAD_WEIGHT, pooled, h->n_outputs, 1);
}

mamba_status mamba_open(mamba_model *model, const void *image, size_t image_bytes)
{
    const struct mamba_header *header = image;
    if ((uintptr_t)image % MAMBA_ALIGNMENT != 0) return MAMBA_ERROR_ALIGNMENT;
    if (image_bytes < sizeof *header) return MAMBA_ERROR_TRUNCATED;
    const mamba_status status = check_header(header, image_bytes);
    if (status != MAMBA_OK) return status;
    if (!layers_ok(header)) return MAMBA_ERROR_TENSOR;
    if (mamba_layout(header, NULL, NULL) != header->arena_bytes) return MAMBA_ERROR_ARENA;
    model->header = header;
    model->n_features = header->n_features;
    model->n_outputs = header->n_outputs;
    return MAMBA_OK;
}

/* ---- Arena ---- */

/* Take `floats` floats, rounded up so that the next buffer is aligned. Sizes fit 64 bits: see MAMBA_LARGEST. */
static float *take(float *arena, uint64_t *used, uint64_t floats)
{
    float *buffer = arena ? arena + *used : NULL;
    *used += (floats + 3u) & ~(uint64_t)3u;
    return buffer;
}

uint64_t mamba_layout(const struct mamba_header *h, float *arena, mamba_sequence *sequence)
{
    const int residual = (h->flags & MAMBA_FLAG_RESIDUAL) != 0;
    const int has_hidden = mamba_model_tensor(h, MAMBA_LINEAR_IN_WEIGHT) || h->n_blocks > 1 || !mamba_out_proj_is_folded(h);
    mamba_sequence unused;
    mamba_sequence *s = sequence ? sequence : &unused;
    uint64_t used = 0;
    s->state = take(arena, &used, product(product(h->n_blocks, h->d_inner), h->d_state));
    s->tail = take(arena, &used, product(product(h->n_blocks, h->d_inner), h->d_conv - 1u));
    s->u = take(arena, &used, h->d_inner);
    s->x_dbl = take(arena, &used, h->dt_rank + 2u * h->d_state);
    s->hidden = has_hidden ? take(arena, &used, h->d_model) : NULL;
    s->normed = residual ? take(arena, &used, h->d_model) : NULL;
    s->pooled = h->flags & MAMBA_FLAG_LAST ? NULL : take(arena, &used, mamba_pooled_width(h));
    return used * sizeof(float);
}
