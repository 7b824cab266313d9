/* A histogram has one bin too few: the largest value of the converter has no bin. */
#include <stdint.h>
#include <stdlib.h>

#ifdef FAULT
#define BINS 16
#else
#define BINS 17
#endif

static const uint16_t samples[] = {0, 255, 256, 1023, 2048, 3000, 4095, 4096};

__attribute__((noipa)) static void count(uint32_t *bins, unsigned bin, uint32_t weight)
{
    ((volatile uint32_t *)bins)[bin] = weight; /* FAULT: heap_out_of_bounds_write */
}

__attribute__((noipa)) static void fill(uint32_t *bins)
{
    for (unsigned i = 0; i < sizeof samples / sizeof samples[0]; i++) count(bins, samples[i] / 256, i);
}

int main(void)
{
    uint32_t *bins = calloc(BINS, sizeof *bins);
    if (bins == NULL) return 0;
    fill(bins);
    free(bins);
    return 0;
}
