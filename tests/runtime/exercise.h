/* All calls that the public face allows with one image, in buffers of exactly the size that the contract names: so a
 * sanitizer or memcheck sees the first byte beyond a buffer. */
#ifndef EXERCISE_H
#define EXERCISE_H

#include "mamba.h"

typedef struct exercised {
    mamba_status status; /* of mamba_open */
    int ran;             /* 1 if steps were taken; 0 if the image does not open, or its arena is larger than 1 MB */
    double sum;          /* of the logits, after every step */
} exercised;

/* Open a copy of `image`, `misalignment` bytes away from MAMBA_ALIGNMENT, and run it where it opens. A broken contract
 * aborts. */
exercised exercise(const uint8_t *image, size_t bytes, size_t misalignment);

/* Read a whole file into a new block; ends the program where that fails. */
uint8_t *read_file(const char *path, size_t *bytes);

#endif
