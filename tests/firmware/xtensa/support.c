/* Functions that programs need besides the port's startup code, without a C library: emu_yield, and those that GCC calls. */
#include <stddef.h>

void emu_yield(void);
void emu_exit(int status);

__attribute__((noinline)) void emu_yield(void) { __asm__ volatile(""); }

__attribute__((noinline)) void emu_exit(int status)
{
    for (;;) __asm__ volatile("" ::"r"(status));
}

void *memset(void *to, int value, size_t count)
{
    volatile unsigned char *bytes = to; /* else GCC turns the loop into a call of memset */
    while (count--) *bytes++ = (unsigned char)value;
    return to;
}

void *memcpy(void *to, const void *from, size_t count)
{
    volatile unsigned char *bytes = to;
    for (const unsigned char *source = from; count--; source++) *bytes++ = *source;
    return to;
}
