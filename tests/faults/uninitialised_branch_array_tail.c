/* The program looks for the largest of eight channels, but the scan sets only the six that are connected. */
#include <stdint.h>

static const uint8_t connected = 0x3f;
static volatile uint16_t peak;

__attribute__((noipa)) static unsigned scan(uint16_t *samples)
{
    unsigned count = 0;
    for (unsigned channel = 0; channel < 8; channel++)
        if (connected >> channel & 1) samples[count++] = (uint16_t)(1000 + 37 * channel);
    return count;
}

__attribute__((noipa)) static void note_peak(uint16_t value) { peak = value; }

__attribute__((noipa)) static void look_at(const uint16_t *sample)
{
    uint16_t value = *sample;
    if (value > 1100) /* FAULT: uninitialised_branch */
        note_peak(value);
    __asm__ volatile("");
}

__attribute__((noipa)) static void find_peak(void)
{
    uint16_t samples[8];
    unsigned count = scan(samples);
#ifdef FAULT
    count = sizeof samples / sizeof samples[0];
#endif
    for (unsigned i = 0; i < count; i++) look_at(&samples[i]);
}

int main(void)
{
    find_peak();
    return 0;
}
