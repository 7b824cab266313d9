/* Structures with holes are assigned, passed and returned by value: the holes are copied, and decide nothing. */
#include <stdint.h>
#include <stdlib.h>

struct reading {
    uint8_t channel;
    uint32_t time;
    uint16_t value;
    double scaled;
    uint8_t flags;
};

static struct reading history[4];
static volatile uint32_t late;
static volatile double sum;

__attribute__((noipa)) static struct reading take(uint8_t channel, uint32_t time)
{
    struct reading reading;
    reading.channel = channel;
    reading.time = time;
    reading.value = (uint16_t)(channel * 100);
    reading.scaled = channel * 0.5;
    reading.flags = 1;
    return reading;
}

__attribute__((noipa)) static void store(struct reading reading)
{
    struct reading *copy = malloc(sizeof *copy);
    if (copy == NULL) return;
    *copy = reading;
    history[reading.channel] = *copy;
    if (copy->time > 1002) late++;
    sum += copy->scaled;
    free(copy);
}

int main(void)
{
    for (uint8_t channel = 0; channel < 4; channel++) store(take(channel, 1000u + channel));
    return 0;
}
