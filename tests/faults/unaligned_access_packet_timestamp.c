/* A 64-bit time stamp in a packet is read through a cast: LDRD needs a word's alignment, and the field has none. */
#include <stdint.h>
#include <string.h>

static uint8_t packet[16] __attribute__((aligned(8))) = {0xa5, 1, 0, 0x10, 0x32, 0x54, 0x76, 0x98, 0xba, 0xdc, 0xfe};
static volatile uint32_t high, low;

__attribute__((noipa)) static uint64_t timestamp(const uint8_t *at)
{
#ifdef FAULT
    uint64_t value = *(const volatile uint64_t *)at; /* FAULT: unaligned_access */
    __asm__ volatile("" : "+r"(value)); /* the load stays on its line */
    return value;
#else
    uint64_t value;
    memcpy(&value, at, sizeof value);
    return value;
#endif
}

__attribute__((noipa)) static void note(uint64_t time)
{
    low = (uint32_t)time;
    high = (uint32_t)(time >> 32);
}

int main(void)
{
    note(timestamp(packet + 3));
    return 0;
}
