/* A double in a byte stream is read through a cast: VLDR needs a word's alignment; one byte comes before the double. */
#include <stdint.h>
#include <string.h>

static const uint8_t stream[] __attribute__((aligned(8))) = {'T', 0, 0, 0, 0, 0, 0x40, 0x35, 0x40, 'H'};
static volatile double temperature;

__attribute__((noipa)) static double number(const uint8_t *at)
{
#ifdef FAULT
    double value = *(const volatile double *)at; /* FAULT: unaligned_access */
    __asm__ volatile("" : "+w"(value)); /* the load stays on its line */
    return value;
#else
    double value;
    memcpy(&value, at, sizeof value);
    return value;
#endif
}

__attribute__((noipa)) static double celsius(const uint8_t *bytes)
{
    return bytes[0] == 'T' ? number(bytes + 1) : 0.0;
}

int main(void)
{
    temperature = celsius(stream) * 2.0;
    return 0;
}
