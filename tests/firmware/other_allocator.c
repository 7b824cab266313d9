/* An allocator with a name of its own, NAME. */
#include <stdint.h>
#include <stdlib.h>

void emu_yield(void);

static uint8_t pool[1000];
static size_t used;

__attribute__((noipa)) void *NAME(size_t size)
{
    used += size;
    return &pool[used - size];
}

static void *volatile kept;

int main(void)
{
    kept = NAME(500);
    emu_yield();
    return 0;
}
