/* A parser sets a number only if it finds a digit; an empty field of the message leaves the number unset. */
#include <stdint.h>

static const char *const sentence = "4807,,1131";
static volatile uint32_t valid;

__attribute__((noipa)) static const char *parse_field(const char *text, uint32_t *number)
{
#ifndef FAULT
    *number = 0;
#endif
    if (*text >= '0' && *text <= '9') {
        uint32_t value = 0;
        while (*text >= '0' && *text <= '9') value = value * 10 + (uint32_t)(*text++ - '0');
        *number = value;
    }
    return *text == ',' ? text + 1 : text;
}

__attribute__((noipa)) static void count_valid(void) { valid++; }

__attribute__((noipa)) static void check(const uint32_t *number)
{
    if (*number != 0) /* FAULT: uninitialised_branch */
        count_valid();
    __asm__ volatile("");
}

__attribute__((noipa)) static void parse(const char *text)
{
    uint32_t fields[3];
    for (int i = 0; i < 3; i++) text = parse_field(text, &fields[i]);
    for (int i = 0; i < 3; i++) check(&fields[i]);
}

int main(void)
{
    parse(sentence);
    return 0;
}
