/* Smooths a signal. The code has two mistakes of a kind that works on the desk and fails in the field. */
#include <stdio.h>
#include <stdlib.h>

struct filter {
    int length;
    int limit;
    int clipped;
    int history[4];
};

static struct filter *make_filter(int length)
{
    struct filter *filter = malloc(sizeof *filter);
    filter->length = length;
    filter->clipped = 0;
    for (int i = 0; i < length; i++) filter->history[i] = 0;
    return filter;
}

static int run_filter(struct filter *filter, int sample)
{
    int sum = 0;
    if (sample > filter->limit) filter->clipped++;
    for (int i = filter->length - 1; i > 0; i--) {
        filter->history[i] = filter->history[i - 1];
        sum += filter->history[i];
    }
    filter->history[0] = sample;
    return (sum + sample) / filter->length;
}

static void drop_filter(struct filter *filter)
{
    free(filter);
}

static void report(struct filter *filter, int smooth)
{
    printf("%d, smoothed over %d samples\n", smooth, filter->length);
}

int main(void)
{
    struct filter *filter = make_filter(4);
    int smooth = 0;
    for (int i = 0; i < 100; i++) smooth = run_filter(filter, i % 10);
    drop_filter(filter);
    report(filter, smooth);
    return 0;
}
