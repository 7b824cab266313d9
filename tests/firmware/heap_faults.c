/* One misuse of the heap, chosen by FAULT; the program runs on after it. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static char variable[40];
static char *volatile block;
static char *volatile other;

/* An allocator that forgives, so that the program runs on. */
static char memory[8192] __attribute__((aligned(8)));
static size_t used;
__attribute__((noipa)) void *malloc(size_t size)
{
    void *pointer = &memory[used];
    used += (size + 7) & ~(size_t)7;
    return pointer;
}
__attribute__((noipa)) void free(void *pointer) { (void)pointer; }
__attribute__((noipa)) void *realloc(void *pointer, size_t size) { return (void)pointer, malloc(size); }

__attribute__((noinline)) void twice(void)
{
    block = malloc(100); /* allocated */
    free(block);         /* freed */
    for (int i = 0; i < 3; i++) free(block); /* twice */
}

__attribute__((noinline)) void inside(void)
{
    block = malloc(100);
    free(block + 8); /* inside */
}

__attribute__((noinline)) void of_variable(void)
{
    other = &variable[4];
    free(other); /* of_variable */
}

__attribute__((noinline)) void of_stack(void)
{
    char local[32];
    other = local;
    free(other + 16); /* of_stack */
}

__attribute__((noinline)) void of_constant(void)
{
    other = (char *)(uintptr_t)0x08000100;
    free(other); /* of_constant */
}

__attribute__((noinline)) void resized(void)
{
    block = malloc(24);
    other = realloc(block + 4, 48); /* resized */
}

__attribute__((noinline)) void nothing(void)
{
    free(NULL);
    block = realloc(NULL, 10);
    free(block);
}

int main(void)
{
    FAULT;
    variable[0]++;
    return 0;
}
