/* Allocator calls with known figures: see tests/machines/test_heap.py. */
#include <malloc.h>
#include <stdlib.h>

void emu_yield(void);

static void *volatile keep; /* so that the compiler does not remove a pair of malloc and free */

static void *kept(void *pointer) { return keep = pointer; }

int main(void)
{
    void *a = kept(malloc(100)), *b = kept(calloc(10, 30));
    emu_yield();
    a = kept(realloc(a, 1000));
    emu_yield();
    free(b);
    keep = malloc(64u << 20); /* more than the heap has */
    free(NULL);
    emu_yield();
    for (int i = 0; i < 1000; i++) free(kept(malloc(24)));
    void *c = kept(memalign(64, 50));
    emu_yield();
    free(a);
    (void)c; /* 50 bytes leak */
    return 0;
}
