/* The last error points to a text in the local array of a function; the function has returned. */
#include <stdint.h>

static const char *last_error = "";
static volatile uint32_t shown;

__attribute__((noipa)) static void fail(uint32_t code)
{
#ifndef FAULT
    static
#endif
        char text[160];
    volatile char *at = text;
    for (const char *from = "error "; *from; from++) *at++ = *from;
    *at++ = (char)('0' + code % 10);
    *at = 0;
    last_error = text;
    __asm__ volatile("" ::: "memory");
}

__attribute__((noipa)) static uint8_t letter(const volatile char *text, unsigned index)
{
    uint8_t value = (uint8_t)text[index]; /* FAULT: read_below_stack */
    return value;
}

int main(void)
{
    uint32_t sum = 0;
    fail(7);
    for (unsigned i = 0; i < 7; i++) sum += letter(last_error, i);
    shown = sum;
    return 0;
}
