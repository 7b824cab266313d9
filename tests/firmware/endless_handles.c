/* An allocator of handles, which need no memory, and which nobody ever frees. */
#include <stddef.h>
#include <stdint.h>

void emu_yield(void);

static uintptr_t last = 0x24000000u;

__attribute__((noinline)) void *malloc(size_t size)
{
    last += size;
    return (void *)last;
}

int main(void)
{
    emu_yield();
    for (int i = 0; i < 20000; i++) __asm__ volatile("" ::"r"(malloc(1)));
    return 0;
}
