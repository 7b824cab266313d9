/* One event is in two queues, and each queue believes that it owns the event. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

struct event {
    uint32_t kind, data[4];
    unsigned owners;
};

struct queue {
    struct event *slots[4];
    unsigned count;
};

static struct queue display, logger;
static volatile uint32_t handled;

static void post(struct queue *queue, struct event *event) { queue->slots[queue->count++] = event; }

__attribute__((noipa)) static void drain(struct queue *queue)
{
    while (queue->count) {
        struct event *event = queue->slots[--queue->count];
        handled += queue->count + 1;
#ifndef FAULT
        if (--event->owners) continue;
#endif
        free(event); /* FAULT: double_free */
    }
}

int main(void)
{
    struct event *event = calloc(1, sizeof *event);
    if (event == NULL) return 0;
    event->owners = 2;
    post(&display, event);
    post(&logger, event);
    drain(&display);
    drain(&logger);
    return 0;
}
