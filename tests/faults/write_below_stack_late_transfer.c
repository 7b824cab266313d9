/* A transfer into a local buffer completes, in a callback, after the function has returned. */
#include <stdint.h>

struct transfer {
    volatile uint8_t *to;
    uint32_t remaining;
};

static struct transfer transfer;
static volatile uint32_t completed;

__attribute__((noipa)) static void on_byte(uint8_t byte)
{
    if (transfer.remaining == 0) return;
    *transfer.to++ = byte; /* FAULT: write_below_stack */
    if (--transfer.remaining == 0) completed++;
}

__attribute__((noipa)) static void request(void)
{
#ifndef FAULT
    static
#endif
        uint8_t reply[192];
    transfer.to = reply;
    transfer.remaining = 4;
    __asm__ volatile("" ::"r"(reply) : "memory");
#ifndef FAULT
    while (transfer.remaining > 2) on_byte(0xaa);
#endif
}

int main(void)
{
    request();
    for (uint8_t i = 0; i < 4; i++) on_byte(i);
    return 0;
}
