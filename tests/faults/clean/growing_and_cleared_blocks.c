/* A table grows with realloc, element by element; the program relies on the zeros of calloc, also in reused blocks. */
#include <stdint.h>
#include <stdlib.h>

struct bucket {
    uint32_t count;
    struct bucket *next;
};

static volatile uint32_t total;

__attribute__((noipa)) static uint32_t *numbers_up_to(uint32_t count)
{
    uint32_t *numbers = NULL;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t *longer = realloc(numbers, (i + 1) * sizeof *numbers);
        if (longer == NULL) abort();
        numbers = longer;
        numbers[i] = i;
        if (i % 8 == 0) free(malloc(4 * i + 1));
    }
    return numbers;
}

__attribute__((noipa)) static uint32_t empty_buckets(const struct bucket *buckets, unsigned count)
{
    uint32_t empty = 0;
    for (unsigned i = 0; i < count; i++)
        if (buckets[i].count == 0 && buckets[i].next == NULL) empty++;
    return empty;
}

int main(void)
{
    for (unsigned round = 1; round <= 4; round++) {
        uint32_t *numbers = numbers_up_to(16 * round);
        struct bucket *buckets;
        for (unsigned i = 0; i < 16 * round; i++)
            if (numbers[i] & 1) total += numbers[i];
        free(numbers);
        buckets = calloc(6 * round, sizeof *buckets);
        if (buckets == NULL) return 1;
        total += empty_buckets(buckets, 6 * round);
        free(buckets);
    }
    free(NULL);
    return 0;
}
