/* A frame header is built bit-field by bit-field in a local; the bits of the priority are never set. */
#include <stdint.h>

struct header {
    uint32_t identifier : 11;
    uint32_t remote : 1;
    uint32_t length : 4;
    uint32_t priority : 3;
    uint32_t bank : 5;
};

static volatile uint32_t mailbox;

__attribute__((noipa)) static void build(struct header *header, uint32_t identifier, uint32_t length)
{
    header->identifier = identifier & 0x7ff;
    header->remote = 0;
    header->length = length & 15;
#ifndef FAULT
    header->priority = 2;
#endif
    header->bank = 1;
}

__attribute__((noipa)) static void urgent(void) { mailbox = 0; }

__attribute__((noipa)) static void queue(const struct header *header)
{
    mailbox = header->length + header->bank;
    if (header->priority == 7) /* FAULT: uninitialised_branch */
        urgent();
    __asm__ volatile("");
}

int main(void)
{
    struct header header;
    build(&header, 0x123, 8);
    queue(&header);
    return 0;
}
