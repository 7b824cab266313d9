/* An array in the section that linker scripts reserve for the heap, and an allocator that hands out its bytes. */
#include <stdint.h>
#include <stdlib.h>

extern void emu_yield(void);

__attribute__((section(".heap"))) static uint8_t storage[4000];
static size_t used;

__attribute__((noipa)) void *malloc(size_t size)
{
    void *pointer = &storage[used];
    used += (size + 7) & ~(size_t)7;
    return pointer;
}

static void *volatile kept;

int main(void)
{
    kept = malloc(500);
    emu_yield();
    return 0;
}
