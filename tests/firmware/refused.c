/* Refused allocations, and the allocator's memory at that time: see tests/machines/test_refusals.py. */
#include <stdint.h>
#include <stdlib.h>

#ifndef BLOCKS
#define BLOCKS 16
#endif
#ifndef FILLED
#define FILLED BLOCKS
#endif
#define BLOCK 1000 /* newlib's heap takes 1008 bytes for it */

static void *volatile block[BLOCKS];
static void *volatile image;

#ifdef IN_TASK
/* As if the stack began at the heap's end: on a task's stack, which lies below, there is never any room. */
static uint64_t task_stack[256];

void *_sbrk(int bytes)
{
    extern char _heap_start[];
    static char *end = _heap_start;
    char *sp;
    __asm__ volatile("mov %0, sp" : "=r"(sp));
    if (end + bytes > sp) return (void *)-1;
    end += bytes;
    return end - bytes;
}
#elif defined IN_ARRAY
/* An allocator without a free list, with its memory in a variable. */
static char pool[BLOCKS * 1008] __attribute__((aligned(8)));
static size_t used;

__attribute__((noipa)) void *pvPortMalloc(size_t size)
{
    size = (size + 15) & ~(size_t)15;
    if (size > sizeof pool - used) return NULL;
    used += size;
    return pool + used - size;
}
#define malloc pvPortMalloc
#else
__attribute__((noipa)) void *_sbrk(int bytes)
{
    extern char _heap_start[];
    static char *end = _heap_start;
    if (end + bytes > _heap_start + BLOCKS * 1008) return (void *)-1;
    end += bytes;
    return end - bytes;
}
#endif

#ifdef ASKS_FOR_THE_BREAK
/* After a refusal, newer versions of newlib's small malloc ask _sbrk where the heap ends. */
__attribute__((noipa)) void *pvPortMalloc(size_t size)
{
    char *granted = _sbrk((int)size);
    if (granted != (char *)-1) return granted;
    (void)_sbrk(0);
    return NULL;
}
#define malloc pvPortMalloc
#endif

__attribute__((noinline)) static void load_image(void)
{
    image = malloc(4096); /* refused */
}

/* Asks on a call path of its own at each depth. */
__attribute__((noipa, unused)) static void load_deeply(int depth)
{
    if (depth > 0) load_deeply(depth - 1);
    load_image();
    __asm__ volatile("");
}

__attribute__((noinline)) static void fill(void)
{
    for (int i = 0; i < FILLED; i++) block[i] = malloc(BLOCK);
}

__attribute__((noinline, noreturn)) void job(void);
__attribute__((noreturn)) void _exit(int);

void job(void)
{
#ifndef NOTHING_GRANTED
    fill();
#if !defined IN_ARRAY && !defined NOTHING_FREED
    for (int i = 0; i < BLOCKS; i += 2) free(block[i]);
#endif
#endif
#ifdef DEPTHS
    load_deeply(DEPTHS - 1);
#else
    load_image();
#endif
    _exit(image == NULL ? 0 : 1);
}

int main(void)
{
#ifdef IN_TASK
    __asm__ volatile("msr psp, %0\n mov r2, #2\n msr control, r2\n isb\n b job" ::"r"(task_stack + 256) : "r2");
#endif
    job();
}
