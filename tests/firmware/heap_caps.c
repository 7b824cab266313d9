/* ESP-IDF's names, in front of newlib's allocator: the outermost call counts, with its own arguments. */
#include <malloc.h>
#include <stdint.h>
#include <stdlib.h>

void emu_yield(void);

__attribute__((noipa)) void *heap_caps_malloc(size_t size, uint32_t caps) { return malloc(size + 16 + (caps & 0)); }
__attribute__((noipa)) void *heap_caps_calloc(size_t n, size_t size, uint32_t caps)
{
    return calloc(n, size + (caps & 0));
}
__attribute__((noipa)) void *heap_caps_realloc(void *pointer, size_t size, uint32_t caps)
{
    return realloc(pointer, size + (caps & 0));
}
__attribute__((noipa)) void *heap_caps_aligned_alloc(size_t alignment, size_t size, uint32_t caps)
{
    return memalign(alignment, size + (caps & 0));
}
__attribute__((noipa)) void *heap_caps_aligned_calloc(size_t alignment, size_t n, size_t size, uint32_t caps)
{
    return memalign(alignment, n * size + (caps & 0));
}
__attribute__((noipa)) void heap_caps_free(void *pointer) { free(pointer); }

static void *volatile kept[5];

int main(void)
{
    kept[0] = heap_caps_malloc(100, 4);
    kept[1] = heap_caps_calloc(10, 30, 4);
    kept[2] = heap_caps_realloc(NULL, 7, 4);
    kept[3] = heap_caps_aligned_alloc(64, 50, 4);
    kept[4] = heap_caps_aligned_calloc(32, 6, 9, 4);
    emu_yield();
    kept[2] = heap_caps_realloc(kept[2], 1000, 4);
    for (int i = 0; i < 5; i++) heap_caps_free(kept[i]);
    emu_yield();
    return 0;
}
