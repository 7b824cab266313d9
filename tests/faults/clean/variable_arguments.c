/* A function with variable arguments saves all argument registers, also those that hold no argument. */
#include <stdarg.h>
#include <stdint.h>

static volatile uint32_t words;
static volatile double numbers;

__attribute__((noipa)) static uint32_t pack(uint8_t *to, const char *format, ...)
{
    uint8_t *start = to;
    va_list arguments;
    va_start(arguments, format);
    for (; *format; format++) {
        if (*format == 'd') {
            numbers += va_arg(arguments, double);
        } else if (*format == 'q') {
            uint64_t value = va_arg(arguments, uint64_t);
            for (int i = 0; i < 8; i++) *to++ = (uint8_t)(value >> 8 * i);
        } else {
            unsigned value = va_arg(arguments, unsigned);
            *to++ = (uint8_t)value;
            if (*format == 'h') *to++ = (uint8_t)(value >> 8);
        }
    }
    va_end(arguments);
    return (uint32_t)(to - start);
}

int main(void)
{
    uint8_t buffer[32];
    words += pack(buffer, "");
    words += pack(buffer, "b", 1);
    words += pack(buffer, "bhd", 1, 513, 2.5);
    words += pack(buffer, "qbqd", (uint64_t)1 << 40, 7, (uint64_t)9, -1.0);
    return words == 0 + 1 + 3 + 17 ? 0 : 1;
}
