/* LDM reads four words at once from the start of a message's body, which follows a header of six bytes. */
#include <stdint.h>

static uint8_t message[32] __attribute__((aligned(8)));
static volatile uint32_t crc;

__attribute__((noipa)) static uint32_t mix(const uint8_t *body)
{
    uint32_t a, b, c, d;
    __asm__ volatile("ldm %4, {r4, r5, r6, r8}\n\t" /* FAULT: unaligned_access */
                     "mov %0, r4\n\tmov %1, r5\n\tmov %2, r6\n\tmov %3, r8"
                     : "=&r"(a), "=&r"(b), "=&r"(c), "=&r"(d)
                     : "r"(body)
                     : "r4", "r5", "r6", "r8", "memory");
    return (a ^ b) + (c ^ d);
}

__attribute__((noipa)) static uint32_t checksum(const uint8_t *bytes)
{
#ifdef FAULT
    return mix(bytes + 6);
#else
    return mix(bytes + 8);
#endif
}

int main(void)
{
    for (unsigned i = 0; i < sizeof message; i++) message[i] = (uint8_t)(i * 29);
    crc = checksum(message);
    return 0;
}
