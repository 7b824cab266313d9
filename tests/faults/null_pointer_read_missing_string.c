/* A setting without a value has no text; the display shows the first eight letters of null. */
#include <stdint.h>
#include <stddef.h>

struct setting {
    const char *key, *value;
};

#ifdef FAULT
static const struct setting settings[] = {{"host", "gateway.local"}, {"user", NULL}};
#else
static const struct setting settings[] = {{"host", "gateway.local"}, {"user", "anonymous"}};
#endif
static volatile uint8_t display[2][8];

__attribute__((noipa)) static uint8_t letter(const volatile char *text, unsigned index)
{
    uint8_t value = (uint8_t)text[index]; /* FAULT: null_pointer_read */
    return value;
}

__attribute__((noipa)) static void show(unsigned row, const char *text)
{
    for (unsigned column = 0; column < 8; column++) display[row][column] = letter(text, column);
}

int main(void)
{
    for (unsigned row = 0; row < 2; row++) show(row, settings[row].value);
    return 0;
}
