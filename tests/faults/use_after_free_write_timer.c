/* A job is freed when it is cancelled, but its timer stays in the list and still writes to the job. */
#include <stdint.h>
#include <stdlib.h>

struct job {
    uint32_t identifier, period, owner;
    uint32_t remaining;
};

static struct job *timers[3];
static volatile uint32_t ticks;

__attribute__((noipa)) static void cancel(unsigned slot)
{
    free(timers[slot]);
#ifndef FAULT
    timers[slot] = NULL;
#endif
}

__attribute__((noipa)) static void rewind_job(struct job *job, uint32_t period)
{
    ((volatile struct job *)job)->remaining = period; /* FAULT: use_after_free_write */
}

__attribute__((noipa)) static void tick(void)
{
    ticks++;
    for (unsigned i = 0; i < 3; i++)
        if (timers[i] != NULL) rewind_job(timers[i], 10 * (i + 1));
}

int main(void)
{
    for (uint32_t i = 0; i < 3; i++) {
        timers[i] = malloc(sizeof *timers[i]);
        if (timers[i] == NULL) return 0;
        *timers[i] = (struct job){i, 10, 0, 10};
    }
    tick();
    cancel(1);
    tick();
    return 0;
}
