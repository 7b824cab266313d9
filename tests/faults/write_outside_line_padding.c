/* A DMA buffer is aligned to cache lines: the zero after a full line falls into the gap and seems to work. */
#include <stdint.h>

__asm__(".global __stack_limit\n.set __stack_limit, 0x2001f000"); /* 4 KB */

static uint8_t line[20] __attribute__((aligned(32)));
static uint8_t reply[20] __attribute__((aligned(32)));
static volatile uint32_t checksum;

__attribute__((noipa)) static void end_line(uint8_t *bytes, unsigned length)
{
    ((volatile uint8_t *)bytes)[length] = 0; /* FAULT: write_outside_objects */
}

__attribute__((noipa)) static void receive(const char *text)
{
    unsigned length = 0;
#ifdef FAULT
    while (length < sizeof line && text[length]) {
#else
    while (length < sizeof line - 1 && text[length]) {
#endif
        line[length] = (uint8_t)text[length];
        length++;
    }
    end_line(line, length);
    for (unsigned i = 0; i < sizeof reply; i++) reply[i] = line[i];
    checksum += reply[3];
}

int main(void)
{
    receive("+CREG: 0,1");
    receive("+COPS: 0,0,\"operator name\"");
    return 0;
}
