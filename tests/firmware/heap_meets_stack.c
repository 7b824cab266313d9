/* A heap that grows from the end of bss towards the stack, without a check: CASE says which one arrives first. */
#include <stdint.h>
#include <stdlib.h>

extern char _bss_end[];
void emu_yield(void);

static volatile uint32_t sum;
static char *volatile block;

#ifdef WITHOUT_BREAK
/* An allocator that goes on from the end of bss by itself. */
__attribute__((noipa)) void *malloc(size_t size)
{
    static char *end = _bss_end;
    end += (size + 7) & ~(size_t)7;
    return end - ((size + 7) & ~(size_t)7);
}
#else
/* newlib's own, without a check. */
void *_sbrk(int bytes)
{
    static char *end = _bss_end;
    end += bytes;
    return end - bytes;
}
#endif

__attribute__((noinline)) void heap_comes(void)
{
    block = malloc(HEAP_BYTES); /* heap_comes */
}

__attribute__((noinline)) uint32_t stack_comes(uint32_t depth)
{
    volatile char frame[1024];
    frame[0] = (char)depth;
    return depth == 0 ? frame[0] : stack_comes(depth - 1) + (uint32_t)frame[0]; /* stack_comes */
}

/* The stack may use the memory into which the heap grows later. */
__attribute__((noinline)) void in_turns(void)
{
    sum += stack_comes(100);
    block = malloc(HEAP_BYTES);
    sum += stack_comes(5);
}

/* A coroutine with a heap block for its stack. */
__attribute__((noinline)) void on_a_block(void)
{
    sum += stack_comes(10);
}

__attribute__((noinline)) void switched(void)
{
    block = malloc(HEAP_BYTES);
    __asm__ volatile("mov r4, sp\n\tmov sp, %0\n\tbl on_a_block\n\tmov sp, r4"
                     :
                     : "r"(block + HEAP_BYTES)
                     : "r0", "r1", "r2", "r3", "r4", "ip", "lr", "memory", "cc");
}

int main(void)
{
    CASE;
    emu_yield();
    return 0;
}
