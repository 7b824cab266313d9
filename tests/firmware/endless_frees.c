/* Frees pointers into blocks for ever, on ever new call paths, among many live blocks; this allocator ignores them all. */
#include <stddef.h>
#include <stdint.h>

#define BLOCKS 10000
#define CALL_DEPTH 40

void emu_yield(void);
extern char _heap_start[];

static char *end = _heap_start;

__attribute__((noinline)) void *malloc(size_t size)
{
    end += size;
    return end - size;
}

__attribute__((noinline)) void free(void *block) { __asm__ volatile("" ::"r"(block)); }

/* A call path is a word of bits: each bit chooses one of two calls. */
__attribute__((noinline)) static void free_on_path(uint32_t path, int depth, char *block)
{
    if (depth == 0) {
        free(block);
    } else if (path & 1u) {
        free_on_path(path >> 1, depth - 1, block);
        __asm__ volatile("");
    } else {
        free_on_path(path >> 1, depth - 1, block);
        __asm__ volatile("nop"); /* so that the compiler does not make one call of both */
    }
}

int main(void)
{
    for (int i = 0; i < BLOCKS; i++) malloc(16);
    emu_yield();
    for (uint32_t path = 0;; path++) free_on_path(path, CALL_DEPTH, _heap_start + 1 + path % (16 * BLOCKS - 1));
}
