/* fuzz_image SEED FIRST COUNT IMAGE...: exercise mutants of the images and print how many ended with each status.
 *
 * Mutant i depends on SEED, i and the images alone, so that `fuzz_image SEED i 1 IMAGE...` reproduces a crash: the program
 * prints this command when it aborts. Most mutants get their size, checksum and arena size corrected, so that they reach
 * the checks after those three.
 */
#include "exercise.h"
#include "image.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HEADER_WORDS  ((uint32_t)(sizeof(struct mamba_header) / sizeof(uint32_t)))
#define LARGEST_IMAGE 16384u /* bytes; the images given are smaller */
#define TABLE_WORDS   48u    /* most of them hold operations in the images given */
#define STATUSES      (MAMBA_ERROR_OPERATION + 1)

typedef struct image {
    uint32_t bytes;
    union {
        uint8_t byte[LARGEST_IMAGE];
        uint32_t word[LARGEST_IMAGE / 4];
        struct mamba_header header;
    } content;
} image;

static struct {
    unsigned long seed, iteration;
} current; /* for the message at a crash, which gets no arguments */

static void print_reproduction(int signal_number)
{
    (void)signal_number;
    fprintf(stderr, "reproduce: fuzz_image %lu %lu 1 IMAGE...\n", current.seed, current.iteration);
}

/* The sanitizers call these at the start: every finding ends in abort(), as a broken contract does. */
const char *__asan_default_options(void);
const char *__ubsan_default_options(void);
const char *__asan_default_options(void) { return "abort_on_error=1:quarantine_size_mb=16:max_allocation_size_mb=64"; }
const char *__ubsan_default_options(void) { return "abort_on_error=1"; }

/* ---- Chance ---- */

/* splitmix64 */
static uint64_t draw(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static uint32_t below(uint64_t *state, uint32_t limit) { return (uint32_t)((draw(state) >> 32) * limit >> 32); }

static int one_in(uint64_t *state, uint32_t count) { return below(state, count) == 0; }

static uint32_t interesting(uint64_t *state, uint32_t now, uint32_t image_bytes)
{
    static const uint32_t values[] = {
        0, 1, 2, 3, 4, 5, 7, 8, 12, 16, 17, 63, 64, 0x7fff, 0xfffc, 0xffff, 0x10000, 0x10000000, 0x20000000, 0x3fffffff,
        0x40000000, 0x7fffffff, 0x80000000, 0xfffffff0, 0xffffffff,         /* sizes that wrap around */
        0x7f800000, 0xff800000, 0x7fc00000, 0x00000001, 0x7f7fffff, 0xff7fffff /* floats at the edge */
    };
    switch (below(state, 6)) {
    case 0: return now + 1 + below(state, 8);
    case 1: return now - 1 - below(state, 8);
    case 2: return now + 4 * MAMBA_ALIGNMENT - MAMBA_ALIGNMENT * below(state, 8);
    case 3: return image_bytes - 4 * below(state, 32);
    case 4: return MAMBA_ALIGNMENT * below(state, image_bytes / MAMBA_ALIGNMENT + 2);
    default: return values[below(state, sizeof values / sizeof *values)];
    }
}

/* ---- Mutations ---- */

static void resize(image *mutant, uint32_t bytes)
{
    if (bytes > mutant->bytes) memset(mutant->content.byte + mutant->bytes, 0, bytes - mutant->bytes);
    mutant->bytes = bytes;
}

static void splice(image *mutant, const image *other, uint64_t *state)
{
    const uint32_t from = below(state, other->bytes), to = below(state, mutant->bytes);
    const uint32_t room = mutant->bytes - to < other->bytes - from ? mutant->bytes - to : other->bytes - from;
    const uint32_t longest = one_in(state, 2) ? 64 : room;
    memcpy(mutant->content.byte + to, other->content.byte + from, 1 + below(state, longest < room ? longest : room));
}

/* The word at which operation `number` begins, or an earlier one if the table is damaged before it. */
static uint32_t operation_at(const image *image, uint32_t number)
{
    uint32_t at = HEADER_WORDS;
    for (; number > 0; number--) {
        const struct mamba_operation *operation = (const void *)(image->content.word + at);
        if ((at + 4) * 4 >= image->bytes || operation->kind >= MAMBA_KINDS) break;
        const uint32_t next = (uint32_t)((const uint32_t *)(const void *)mamba_next(operation) - image->content.word);
        if (next * 4 > image->bytes) break;
        at = next;
    }
    return at;
}

/* Take an operation out of the table, or put a copy of another one over it. */
static void move_operation(image *mutant, uint64_t *state)
{
    uint32_t *word = mutant->content.word, *count = &mutant->content.header.n_operations;
    const uint32_t operations = *count < 16 ? *count : 16, number = below(state, operations + 1);
    const uint32_t to = operation_at(mutant, number), end = operation_at(mutant, operations);
    const uint32_t from = operation_at(mutant, one_in(state, 2) ? number + 1 : below(state, operations + 1));
    if (from >= end || to >= end) return;
    const uint32_t length = end - (from > to ? from : to);
    memmove(word + to, word + from, length * sizeof *word);
    if (from > to && !one_in(state, 4)) (*count)--;
}

/* Put an operation without tensors into the table, with 16 bytes more before all that follows it. */
static void insert_operation(image *mutant, uint64_t *state)
{
    uint32_t *word = mutant->content.word;
    const uint32_t operations = mutant->content.header.n_operations;
    const uint32_t number = below(state, (operations < 16 ? operations : 16) + 1), at = operation_at(mutant, number);
    const uint32_t width = number == 0 ? mutant->content.header.n_features : word[operation_at(mutant, number - 1) + 2];
    static const uint32_t kinds[] = {MAMBA_FORK, MAMBA_POOL, MAMBA_ACTIVATION};
    const uint32_t kind = kinds[below(state, 3)];
    const uint32_t record[4] = {kind, width, width, below(state, 5)};
    if (at * 4 > mutant->bytes || mutant->bytes + sizeof record > LARGEST_IMAGE) return;
    memmove(word + at + 4, word + at, mutant->bytes - at * 4);
    memcpy(word + at, record, sizeof record);
    mutant->bytes += (uint32_t)sizeof record;
    mutant->content.header.n_operations++;
    for (uint32_t i = 0; i < operations && i < 16; i++) {
        const uint32_t slots = operation_at(mutant, i) + 4, next = operation_at(mutant, i + 1);
        for (uint32_t slot = slots; slot < next; slot++) word[slot] += word[slot] == 0 ? 0 : (uint32_t)sizeof record;
    }
}

static void mutate(image *mutant, const image *other, uint64_t *state)
{
    if (mutant->bytes < sizeof(struct mamba_header)) return;
    const uint32_t words = mutant->bytes / 4, after_header = words - HEADER_WORDS;
    uint32_t word = 4 + below(state, HEADER_WORDS - 4);
    switch (below(state, 10)) {
    case 0: mutant->content.byte[below(state, mutant->bytes)] ^= (uint8_t)(1u << below(state, 8)); return;
    case 1: splice(mutant, other, state); return;
    case 2: resize(mutant, below(state, mutant->bytes + 64)); return;
    case 3: word = below(state, 4); break; /* magic, version, size, checksum */
    case 4: break;                         /* a dimension or count */
    case 5:
        if (after_header > 0) word = HEADER_WORDS + below(state, after_header);
        break; /* of an operation, or a float */
    case 6: move_operation(mutant, state); return;
    case 7: insert_operation(mutant, state); return;
    default: /* of an operation */
        if (after_header > TABLE_WORDS) word = HEADER_WORDS + below(state, TABLE_WORDS);
        break;
    }
    mutant->content.word[word] = interesting(state, mutant->content.word[word], mutant->bytes);
}

/* ---- Repairs ---- */

static uint32_t crc32(const uint8_t *bytes, size_t count)
{
    uint32_t crc = ~0u;
    for (size_t i = 0; i < count; i++) {
        crc ^= bytes[i];
        for (int bit = 0; bit < 8; bit++) crc = (crc >> 1) ^ (crc & 1u ? 0xedb88320u : 0u);
    }
    return ~crc;
}

static void repair_checksum(image *mutant)
{
    const size_t covered = offsetof(struct mamba_header, n_features);
    mutant->content.header.checksum = crc32(mutant->content.byte + covered, mutant->bytes - covered);
}

static exercised exercise_mutant(image *mutant, uint64_t *state)
{
    const size_t misalignment = one_in(state, 64) ? 1 + below(state, MAMBA_ALIGNMENT - 1) : 0;
    if (mutant->bytes >= sizeof(struct mamba_header)) {
        if (!one_in(state, 16)) mutant->content.header.image_bytes = mutant->bytes;
        if (!one_in(state, 16)) repair_checksum(mutant);
    }
    const exercised result = exercise(mutant->content.byte, mutant->bytes, misalignment);
    if (result.status != MAMBA_ERROR_ARENA || one_in(state, 8)) return result;
    /* Every tensor was found inside the image, so its true arena may be asked for. */
    mutant->content.header.arena_bytes = (uint32_t)mamba_layout(&mutant->content.header, NULL, NULL);
    repair_checksum(mutant);
    return exercise(mutant->content.byte, mutant->bytes, misalignment);
}

/* ---- The run ---- */

static image *read_images(char **paths, uint32_t count)
{
    image *images = calloc(count, sizeof *images);
    if (!images) exit(2);
    for (uint32_t i = 0; i < count; i++) {
        size_t bytes;
        uint8_t *content = read_file(paths[i], &bytes);
        if (bytes < sizeof(struct mamba_header) || bytes + 64 > LARGEST_IMAGE) exit(2);
        memcpy(images[i].content.byte, content, bytes);
        images[i].bytes = (uint32_t)bytes;
        free(content);
    }
    return images;
}

int main(int count, char **arguments)
{
    if (count < 5) return 2;
    current.seed = strtoul(arguments[1], NULL, 10);
    const unsigned long first = strtoul(arguments[2], NULL, 10), end = first + strtoul(arguments[3], NULL, 10);
    const uint32_t n_images = (uint32_t)count - 4u;
    image *images = read_images(arguments + 4, n_images);
    static image mutant;
    unsigned long by_status[STATUSES] = {0}, ran = 0;

    signal(SIGABRT, print_reproduction);
    for (current.iteration = first; current.iteration < end; current.iteration++) {
        uint64_t state = current.seed * 0x100000001b3u ^ current.iteration;
        mutant = images[below(&state, n_images)];
        for (uint32_t left = 1 + below(&state, 4); left > 0; left--) {
            mutate(&mutant, &images[below(&state, n_images)], &state);
            if (mutant.bytes + 64 > LARGEST_IMAGE) resize(&mutant, LARGEST_IMAGE - 64);
        }
        const exercised result = exercise_mutant(&mutant, &state);
        by_status[result.status]++;
        ran += (unsigned long)result.ran;
    }
    for (int status = 0; status < STATUSES; status++) printf("%lu ", by_status[status]);
    printf("%lu\n", ran);
    free(images);
    return 0;
}
