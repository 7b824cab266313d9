/* Counts its heap itself, in a wrapper around newlib's allocator: see tests/machines/test_renode_stack_and_heap.py. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#ifdef COUNTED
#include "heap.h"

struct emu_heap emu_heap;

void *__real_malloc(size_t size);
void __real_free(void *pointer);

enum { HEADER = 8 }; /* keeps the alignment, and the size that the caller asked for */

void *__wrap_malloc(size_t size)
{
    uint32_t *block = size <= SIZE_MAX - HEADER ? __real_malloc(size + HEADER) : NULL;
    if (block == NULL) {
        emu_heap.failures++;
        return NULL;
    }
    *block = size;
    emu_heap.allocations++;
    emu_heap.live += size;
    if (emu_heap.live > emu_heap.peak) emu_heap.peak = emu_heap.live;
    emu_heap.block = (uint32_t)(uintptr_t)block;
    return block + HEADER / sizeof *block;
}

void __wrap_free(void *pointer)
{
    if (pointer == NULL) return;
    uint32_t *block = (uint32_t *)pointer - HEADER / sizeof *block;
    emu_heap.frees++;
    emu_heap.live -= *block;
    __real_free(block);
}
#endif

static void *volatile keep; /* so that the compiler does not remove a pair of malloc and free */

static void *kept(void *pointer) { return keep = pointer; }

int main(void)
{
    void *a = kept(malloc(100)), *b = kept(malloc(1000));
    free(a);
    free(NULL);
    kept(malloc(64u << 20)); /* more than the heap has */
    for (int i = 0; i < 5; i++) free(kept(malloc(24)));
    a = kept(malloc(30));
    free(b);
    return 0; /* 30 bytes are left */
}
