/* FreeRTOS's allocator, small: first fit in one static array. The program also has malloc, with memory elsewhere. */
#include <setjmp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

void emu_yield(void);

struct header {
    struct header *next;
    size_t size; /* of the block after it; its lowest bit is set if the block is free */
};

static _Alignas(8) uint8_t ucHeap[4096];
static jmp_buf on_failure;
static int jump_on_failure;

static struct header *first(void)
{
    struct header *header = (struct header *)ucHeap;
    if (header->size == 0) header->size = (sizeof ucHeap - sizeof *header) | 1;
    return header;
}

__attribute__((noipa)) void *pvPortMalloc(size_t size)
{
    size_t wanted = (size + 7) & ~(size_t)7;
    for (struct header *at = first(); at != NULL; at = at->next) {
        if (!(at->size & 1) || at->size < wanted) continue;
        size_t left = (at->size & ~(size_t)1) - wanted;
        at->size = wanted;
        if (left > sizeof *at) {
            struct header *rest = (struct header *)((uint8_t *)(at + 1) + wanted);
            *rest = (struct header){at->next, (left - sizeof *at) | 1};
            at->next = rest;
        }
        return at + 1;
    }
    if (jump_on_failure) longjmp(on_failure, 1);
    return NULL;
}

__attribute__((noipa)) void vPortFree(void *pointer)
{
    if (pointer != NULL) ((struct header *)pointer)[-1].size |= 1;
}

__attribute__((noipa)) void *pvPortCalloc(size_t count, size_t size)
{
    void *pointer = pvPortMalloc(count * size);
    return pointer == NULL ? NULL : memset(pointer, 0, count * size);
}

int main(void)
{
    void *volatile a = pvPortMalloc(100);
    void *volatile b = pvPortCalloc(10, 20);
    emu_yield(); /* 300 live in 2 blocks */
    vPortFree(a);
    vPortFree(NULL);
    a = pvPortMalloc(50000); /* more than the array has */
    emu_yield(); /* 200 live, 1 failure */
    jump_on_failure = 1;
    if (setjmp(on_failure) == 0) a = pvPortMalloc(60000); /* never returns */
    jump_on_failure = 0;
    a = pvPortMalloc(40);
    emu_yield(); /* 240 live: a call that was left does not count */
    vPortFree(a);
    vPortFree(b);
#ifdef WITH_MALLOC
    free(malloc(77));
#endif
    emu_yield();
    return 0;
}
