#define _POSIX_C_SOURCE 200112L

#include "exercise.h"
#include "image.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STEPS         6u                /* more than the convolution's taps: the tail wraps */
#define LARGEST_ARENA ((size_t)1 << 20) /* a mutated image may ask for gigabytes */

static void require(int holds, const char *contract)
{
    if (holds) return;
    fprintf(stderr, "broken contract: %s\n", contract);
    abort();
}

static void *aligned_block(size_t bytes)
{
    void *block = NULL;
    require(posix_memalign(&block, MAMBA_ALIGNMENT, bytes) == 0, "the test's own allocation");
    return block;
}

static double take_steps(mamba_sequence *sequence, const mamba_model *model)
{
    const uint32_t n_features = model->n_features, n_outputs = model->n_outputs, n_tokens = model->header->n_tokens;
    float *x = malloc(n_features * sizeof *x), *logits = malloc(n_outputs * sizeof *logits);
    require(x && logits, "the test's own allocation");
    require(mamba_finish(sequence, logits) == MAMBA_ERROR_EMPTY, "nothing to finish before the first step");
    double sum = 0.0;
    for (uint32_t step = 0; step < STEPS; step++) {
        for (uint32_t i = 0; i < n_features; i++) x[i] = (float)((step * n_features + i) * 7u % 19u) / 4.0f - 2.25f;
        if (n_tokens > 0) x[0] = (float)(step * 7u % n_tokens);
        mamba_step(sequence, x);
        require(mamba_finish(sequence, logits) == MAMBA_OK, "finish after a step");
        for (uint32_t i = 0; i < n_outputs; i++) sum += (double)logits[i];
    }
    free(x);
    free(logits);
    return sum;
}

static double run(const mamba_model *model)
{
    const size_t bytes = mamba_arena_bytes(model);
    void *arena = aligned_block(bytes);
    mamba_sequence sequence;
    require(mamba_start(&sequence, model, arena, bytes - 1) == MAMBA_ERROR_ARENA, "an arena one byte too small");
    require(mamba_start(&sequence, model, arena, bytes) == MAMBA_OK, "an arena of the size asked for");
    const double sum = take_steps(&sequence, model);
    free(arena);
    return sum;
}

exercised exercise(const uint8_t *image, size_t bytes, size_t misalignment)
{
    uint8_t *block = aligned_block(misalignment + bytes);
    uint8_t *copy = block + misalignment;
    if (bytes > 0) memcpy(copy, image, bytes);

    mamba_model model;
    exercised result = {mamba_open(&model, copy, bytes), 0, 0.0};
    if (result.status == MAMBA_OK && mamba_arena_bytes(&model) <= LARGEST_ARENA) {
        result.sum = run(&model);
        result.ran = 1;
    }
    require(bytes == 0 || memcmp(copy, image, bytes) == 0, "the image is only read");
    free(block);
    return result;
}

uint8_t *read_file(const char *path, size_t *bytes)
{
    FILE *file = fopen(path, "rb");
    if (!file || fseek(file, 0, SEEK_END) != 0) {
        fprintf(stderr, "%s: cannot be read\n", path);
        exit(2);
    }
    *bytes = (size_t)ftell(file);
    rewind(file);
    uint8_t *content = malloc(*bytes + 1);
    require(content && fread(content, 1, *bytes, file) == *bytes, "the test's own file");
    fclose(file);
    return content;
}
