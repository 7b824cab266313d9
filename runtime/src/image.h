/* The model image: what the exporter writes and the engine reads in place. Format version 1.
 *
 *     header | offsets of the model's tensors | offsets of each block's tensors | tensors
 *
 * Little-endian. An offset counts bytes from the start of the image, is a multiple of MAMBA_ALIGNMENT, and is 0 for a tensor
 * that the model does not have. Matrices are of the header's matrix_type, in groups of rows (see matrix.h); everything else is
 * float32. emu/model/image.py writes the image; ops.def has the tensors of each layer.
 */
#ifndef MAMBA_IMAGE_H
#define MAMBA_IMAGE_H

#include "mamba.h"
#include "matrix.h"

#define MAMBA_MAGIC          0x424d414du /* "MAMB" */
#define MAMBA_FORMAT_VERSION 1u
#define MAMBA_LARGEST        0xffffu /* of any dimension: keeps every size within 64 bits */

enum {
    MAMBA_FLAG_LAST     = 1u << 0, /* pooling: the last step instead of the mean */
    MAMBA_FLAG_RESIDUAL = 1u << 1, /* x = x + mixer(rms_norm(x)) instead of x = mixer(x) */
    MAMBA_FLAGS         = MAMBA_FLAG_LAST | MAMBA_FLAG_RESIDUAL
};

struct mamba_header {
    uint32_t magic;
    uint32_t version;
    uint32_t image_bytes;
    uint32_t checksum; /* CRC-32 (as in zlib) of everything after this field */
    uint32_t n_features; /* F */
    uint32_t n_outputs;  /* C */
    uint32_t d_model;    /* M */
    uint32_t d_inner;    /* D */
    uint32_t d_state;    /* N, a multiple of 4 (padded by the exporter) */
    uint32_t d_conv;     /* K */
    uint32_t dt_rank;    /* R, a multiple of 4 (padded by the exporter) */
    uint32_t n_blocks;
    uint32_t flags;
    float norm_epsilon;
    uint32_t arena_bytes;
    uint32_t matrix_type; /* enum mamba_matrix_type */
};

/* The model's tensors: the layers linear_in, norm_f and head. A layer is absent if its first tensor is. */
enum {
    MAMBA_LINEAR_IN_WEIGHT, /* matrix (M, F); absent: the first block takes the input row itself */
    MAMBA_LINEAR_IN_BIAS,   /* (M) */
    MAMBA_NORM_F,           /* (M); residual models only */
    MAMBA_HEAD_WEIGHT,      /* matrix (C, pooled width); absent: the pooled vector is the output */
    MAMBA_HEAD_BIAS,        /* (C) */
    MAMBA_MODEL_TENSORS
};

/* A block's tensors: one of each layer of ops.def, in that order. The norm is absent from a plain model. The linear layer is
 * out_proj (M, D), absent only from the last block, if the exporter folded it into the head. */
enum {
#define LAYER(layer)
#define MATRIX(layer, name, rows, columns, presence) MAMBA_##name,
#define BIAS(layer, name, rows, columns, presence)   MAMBA_##name,
#define FLOATS(layer, name, rows, columns, presence) MAMBA_##name,
#include "ops.def"
#undef LAYER
#undef MATRIX
#undef BIAS
#undef FLOATS
    MAMBA_BLOCK_TENSORS,
    MAMBA_OUT_WEIGHT = MAMBA_LINEAR_WEIGHT,
    MAMBA_OUT_BIAS   = MAMBA_LINEAR_BIAS
};

/* The floats of a vector that the matrix kernel may read or write past `rows`: up to a multiple of four. */
static inline uint32_t mamba_padded(uint32_t rows) { return (rows + 3u) & ~3u; }

/* The tensor in `slot` of the model, or of a block, or NULL. The image must be open. */
const float *mamba_model_tensor(const struct mamba_header *header, uint32_t slot);
const float *mamba_block_tensor(const struct mamba_header *header, uint32_t block, uint32_t slot);

/* Whether the exporter folded the last block's out_proj into the head: then its gated output (D) is what is pooled. */
int mamba_out_proj_is_folded(const struct mamba_header *header);

/* The matrix in `slot` of the model, or of a block; its data is NULL if the model does not have it. */
mamba_matrix mamba_model_matrix(const struct mamba_header *header, uint32_t slot, uint32_t columns);
mamba_matrix mamba_block_matrix(const struct mamba_header *header, uint32_t block, uint32_t slot, uint32_t columns);

/* The width of the vector that is pooled over time: D or M. */
uint32_t mamba_pooled_width(const struct mamba_header *header);

/* Lay the arena out; with a NULL arena, only count. Returns its size in bytes. */
uint64_t mamba_layout(const struct mamba_header *header, float *arena, mamba_sequence *sequence);

#endif
