/* A slope filter reads the sample before each sample; the first sample has none before it. */
#include <stdint.h>
#include <stdlib.h>

static volatile float steepest;

__attribute__((noipa)) static float before(const volatile float *sample)
{
    float value = sample[-1]; /* FAULT: heap_out_of_bounds_read */
    return value;
}

__attribute__((noipa)) static float slope_sum(const float *samples, int count)
{
    float sum = 0.0f;
#ifdef FAULT
    int first = 0;
#else
    int first = 1;
#endif
    for (int i = first; i < count; i++) sum += samples[i] - before(&samples[i]);
    return sum;
}

int main(void)
{
    int count = 16;
    float *samples = malloc((size_t)count * sizeof *samples);
    if (samples == NULL) return 0;
    for (int i = 0; i < count; i++) samples[i] = 0.5f * (float)(i * i);
    steepest = slope_sum(samples, count);
    free(samples);
    return 0;
}
