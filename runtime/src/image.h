/* The model image: the exporter writes it, and the engine reads it in place. Format version 3.
 *
 *     header | operations, in the order in which they run | tensors
 *
 * Little-endian. An offset counts bytes from the start of the image, and is a multiple of MAMBA_ALIGNMENT; 0 means that the
 * operation lacks the tensor. Matrices have the header's matrix_type and are stored in groups of rows (see matrix.h); all other
 * tensors are float32. emu/model/image.py writes the image; ops.def has the operations and the tensors of each.
 */
#ifndef MAMBA_IMAGE_H
#define MAMBA_IMAGE_H

#include "mamba.h"
#include "matrix.h"
#include "parts.h"

#define MAMBA_MAGIC          0x424d414du /* "MAMB" */
#define MAMBA_FORMAT_VERSION 3u
#define MAMBA_LARGEST        0xffffu /* the largest dimension: keeps every size within 64 bits */

struct mamba_header {
    uint32_t magic;
    uint32_t version;
    uint32_t image_bytes;
    uint32_t checksum; /* CRC-32 (as in zlib) of everything after this field */
    uint32_t n_features; /* F; 1 for a token */
    uint32_t n_outputs;  /* C */
    uint32_t d_model;    /* M: the widest vector between the mixers */
    uint32_t d_inner;    /* D */
    uint32_t d_state;    /* N, a multiple of 4 (padded by the exporter) */
    uint32_t d_conv;     /* K */
    uint32_t dt_rank;    /* R, a multiple of 4 (padded by the exporter) */
    uint32_t n_blocks;     /* the mixers among the operations */
    uint32_t n_operations;
    uint32_t n_tokens;   /* V, or 0 if the input is no token */
    uint32_t arena_bytes;
    uint32_t matrix_type; /* enum mamba_matrix_type */
};

enum mamba_kind {
#define OPERATION(kind, writes, width, parameters) MAMBA_##kind,
#include "ops.def"
    MAMBA_KINDS
};

/* Parameters of operations. */
enum { MAMBA_NORM_LAYER = 1, MAMBA_MIXER_NORMS = 1, MAMBA_LINEAR_ADDS = 1 };
enum { MAMBA_GELU = 1, MAMBA_RELU = 2, MAMBA_TANH = 3, MAMBA_SIGMOID = 4 };
enum { MAMBA_POOL_LAST = 1, MAMBA_POOL_MAX = 2, MAMBA_POOL_SUM = 3, MAMBA_POOL_NONE = 4 };

/* The tensors of each kind; each kind counts from 0. */
enum mamba_slot {
#define OPERATION(kind, writes, width, parameters)                   MAMBA_BEFORE_##kind = -1,
#define TENSOR(kind, name, storage, rows, columns, presence) MAMBA_##name,
#include "ops.def"
};

/* The record of one operation. */
struct mamba_operation {
    uint32_t kind;      /* enum mamba_kind */
    uint32_t in;        /* the input vector's width */
    uint32_t out;       /* the result vector's width */
    uint32_t parameter; /* see ops.def */
    uint32_t offsets[]; /* a tensor's offset each, in the order of ops.def */
};

/* Whether an operation has this parameter; false at compile time if the engine lacks it. */
static inline int mamba_is(const struct mamba_operation *operation, uint32_t kind, uint32_t parameter)
{
    return mamba_has(kind, parameter) && operation->parameter == parameter;
}

/* The floats of a vector of `rows` that the matrix kernel may read or write: `rows`, rounded up to a multiple of four. */
static inline uint32_t mamba_padded(uint32_t rows) { return (rows + 3u) & ~3u; }

/* The first operation, and the one after `operation`. */
const struct mamba_operation *mamba_first(const struct mamba_header *header);
const struct mamba_operation *mamba_next(const struct mamba_operation *operation);

/* A tensor of an operation, or NULL. The image must be open. */
const float *mamba_tensor(const struct mamba_header *header, const struct mamba_operation *operation, enum mamba_slot slot);
mamba_matrix mamba_tensor_matrix(const struct mamba_header *header, const struct mamba_operation *operation,
                                 enum mamba_slot slot, uint32_t columns);

/* Lay out the arena; with a NULL arena, only count. Returns the arena's size in bytes. */
uint64_t mamba_layout(const struct mamba_header *header, float *arena, mamba_sequence *sequence);

#endif
