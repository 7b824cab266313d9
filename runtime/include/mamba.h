/* Mamba sequence models on microcontrollers: streaming inference from an image in flash.
 *
 * The engine takes one time step at a time and keeps only the recurrent state, so a longer sequence needs no more RAM.
 * The engine allocates nothing and has no global state: the caller supplies one arena for each sequence.
 *
 *     mamba_model model;
 *     mamba_sequence sequence;
 *     if (mamba_open(&model, image, image_bytes) != MAMBA_OK) ...
 *     if (mamba_start(&sequence, &model, arena, sizeof arena) != MAMBA_OK) ...   (arena: mamba_arena_bytes(&model))
 *     for (t = 0; t < steps; t++) mamba_step(&sequence, x + t * model.n_features);
 *     if (mamba_finish(&sequence, logits) != MAMBA_OK) ...
 *
 * A model with outputs at each step: call mamba_finish() after every mamba_step().
 */
#ifndef MAMBA_H
#define MAMBA_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The alignment in bytes of an image and of an arena. */
#define MAMBA_ALIGNMENT 16u

typedef enum mamba_status {
    MAMBA_OK              = 0,
    MAMBA_ERROR_ALIGNMENT = 1, /* the image or the arena is not aligned to MAMBA_ALIGNMENT */
    MAMBA_ERROR_TRUNCATED = 2, /* the image is shorter than its header says */
    MAMBA_ERROR_MAGIC     = 3, /* not a model image */
    MAMBA_ERROR_VERSION   = 4, /* an image of another format version: export it again */
    MAMBA_ERROR_CHECKSUM  = 5, /* the image was damaged after the export */
    MAMBA_ERROR_DIMENSION = 6, /* a dimension or type that no model has */
    MAMBA_ERROR_TENSOR    = 7, /* a tensor that an operation needs is missing, or lies outside the image */
    MAMBA_ERROR_ARENA     = 8, /* the arena is smaller than mamba_arena_bytes() */
    MAMBA_ERROR_EMPTY     = 9, /* mamba_finish() before the first mamba_step() */
    MAMBA_ERROR_OPERATION = 10 /* an operation that the engine does not know, or cannot run in this place */
} mamba_status;

/* A validated image. The struct points into the image, so the image must stay in its place. */
typedef struct mamba_model {
    const struct mamba_header *header;
    uint32_t n_features; /* F: floats in one input row; 1 for the number of a token */
    uint32_t n_outputs;  /* C: floats that mamba_finish() writes */
} mamba_model;

/* One sequence in progress. All pointers go into the caller's arena. */
typedef struct mamba_sequence {
    const mamba_model *model;
    float *state;   /* (blocks, D, N) recurrent state h */
    float *tail;    /* (blocks, D, K - 1) the convolution's last inputs, oldest first */
    float *u;       /* (D) convolution output, then the gated output of the scan */
    float *x_dbl;   /* (R + N + N) low-rank time step, B and C */
    float *hidden;  /* (M) what flows between mixers, or NULL */
    float *normed;  /* (M) RMSNorm of hidden, or NULL */
    float *pooled;  /* (M or D) running sum over time, or the buffer of the last step if only that step counts */
    float *head[2]; /* (widest vector inside the head) each, or NULL */
    uint32_t steps; /* time steps so far */
} mamba_sequence;

/* Check the checksum, every dimension, operation and offset of an image, and open it. */
mamba_status mamba_open(mamba_model *model, const void *image, size_t image_bytes);

/* The bytes of RAM that one sequence needs. */
size_t mamba_arena_bytes(const mamba_model *model);

/* Begin a sequence with a zero state. */
mamba_status mamba_start(mamba_sequence *sequence, const mamba_model *model, void *arena, size_t arena_bytes);

/* Take one row x (F). A number that is no token's makes all later outputs NaN. */
void mamba_step(mamba_sequence *sequence, const float *x);

/* Pool, and write the logits (C); without pooling, the logits of the last step. The sequence may go on with further steps
 * (streaming): this changes no state. */
mamba_status mamba_finish(const mamba_sequence *sequence, float *logits);

#ifdef __cplusplus
}
#endif

#endif
