/* Whole buffers are copied and moved, but only their beginning is initialised; only the beginning is used. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

struct packet {
    uint16_t length;
    uint8_t bytes[62];
};

static struct packet queue[3];
static volatile uint32_t sum;

__attribute__((noipa)) static void fill(struct packet *packet, const char *text)
{
    packet->length = 0;
    while (*text) packet->bytes[packet->length++] = (uint8_t)*text++;
}

__attribute__((noipa)) static void consume(const struct packet *packet)
{
    for (unsigned i = 0; i < packet->length; i++)
        if (packet->bytes[i] > 'a') sum += packet->bytes[i];
}

int main(void)
{
    struct packet local, *copy = malloc(2 * sizeof *copy);
    if (copy == NULL) return 0;
    fill(&local, "frame one");
    memcpy(&copy[0], &local, sizeof local);
    copy[1] = copy[0];
    memmove((uint8_t *)copy + 6, copy, sizeof *copy);
    memmove(copy, (uint8_t *)copy + 6, sizeof *copy);
    queue[2] = copy[0];
    consume(&copy[0]);
    consume(&queue[2]);
    free(copy);
    return 0;
}
