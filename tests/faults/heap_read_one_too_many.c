/* A moving average sums `<= count` samples: the classic off by one, on the reading side. */
#include <stdint.h>
#include <stdlib.h>

static volatile int32_t average;

__attribute__((noipa)) static int32_t average_of(const volatile int16_t *samples, int count)
{
    int32_t sum = 0;
#ifdef FAULT
    for (int i = 0; i <= count; i++)
#else
    for (int i = 0; i < count; i++)
#endif
        sum += samples[i]; /* FAULT: heap_out_of_bounds_read */
    return sum / count;
}

int main(void)
{
    int count = 20;
    int16_t *samples = malloc((size_t)count * sizeof *samples);
    if (samples == NULL) return 0;
    for (int i = 0; i < count; i++) samples[i] = (int16_t)(100 + i);
    average = average_of(samples, count);
    free(samples);
    return 0;
}
