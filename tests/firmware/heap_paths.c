/* More call paths to the allocator than anyone wants to see: each bit of a number is a call of its own. */
#include <stdint.h>
#include <stdlib.h>

#ifndef PATHS
#define PATHS 3000
#endif

void emu_yield(void);

static void *volatile kept[PATHS];
static volatile char sink;

static void store(uint32_t path, uint32_t left);

__attribute__((noinline)) static void zero(uint32_t path, uint32_t left)
{
    store(path, left / 2);
    sink = 0;
}

__attribute__((noinline)) static void one(uint32_t path, uint32_t left)
{
    store(path, left / 2);
    sink = 1;
}

__attribute__((noinline)) static void store(uint32_t path, uint32_t left)
{
    if (left == 1) kept[path] = malloc(path % 40 + 1);
    else if (left & 1) one(path, left);
    else zero(path, left);
    sink = 2;
}

int main(void)
{
    volatile char large[LARGE];
    large[0] = large[LARGE - 1] = 0;
    for (uint32_t path = 0; path < PATHS; path++) store(path, path | 1u << 16);
    emu_yield();
    for (uint32_t path = 0; path < PATHS; path++) free(kept[path]);
    return large[0];
}
