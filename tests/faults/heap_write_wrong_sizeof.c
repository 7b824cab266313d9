/* sizeof of the wrong type: malloc gets the size of the header, not of the whole message. */
#include <stdint.h>
#include <stdlib.h>

struct header {
    uint32_t kind, sequence, length, flags, source, target;
};

struct message {
    struct header header;
    uint32_t crc;
};

static volatile uint32_t sent;

__attribute__((noipa)) static void seal(struct message *message)
{
    const volatile uint32_t *words = (const volatile uint32_t *)message;
    uint32_t crc = 0xffffffffu;
    for (unsigned i = 0; i < sizeof message->header / 4; i++) crc = (crc ^ words[i]) * 0x01000193u;
    *(volatile uint32_t *)&message->crc = crc; /* FAULT: heap_out_of_bounds_write */
}

int main(void)
{
#ifdef FAULT
    struct message *message = malloc(sizeof(struct header));
#else
    struct message *message = malloc(sizeof(struct message));
#endif
    if (message == NULL) return 0;
    message->header = (struct header){1, 2, 0, 0, 4, 5};
    seal(message);
    sent = message->header.sequence;
    free(message);
    return 0;
}
