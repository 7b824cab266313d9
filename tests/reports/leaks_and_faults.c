/* Prints, leaks, frees a block twice, decides by a value that nobody set, and ends by a write to unmapped memory. */
#include <stdlib.h>
#include <string.h>

static char *volatile kept[3];
static volatile int decisions;

/* An allocator that forgives, so that the program runs on. */
static char memory[4096] __attribute__((aligned(8)));
static size_t used;
__attribute__((noipa)) void *malloc(size_t size)
{
    void *pointer = &memory[used];
    used += (size + 7) & ~(size_t)7;
    return pointer;
}
__attribute__((noipa)) void free(void *pointer) { (void)pointer; }

__attribute__((noipa)) static void print(const char *text)
{
    register int operation __asm__("r0") = 4; /* SYS_WRITE0 */
    register const char *parameter __asm__("r1") = text;
    __asm__ volatile("bkpt #0xab" : "+r"(operation) : "r"(parameter) : "memory");
}

__attribute__((noipa)) static char *copy(const char *text)
{
    return strcpy(malloc(strlen(text) + 1), text);
}

__attribute__((noipa)) static void load_names(void)
{
    for (int i = 0; i < 3; i++) kept[i] = copy("a name that nobody frees");
}

__attribute__((noipa)) static void close_twice(void)
{
    static char *volatile block;
    block = malloc(200);
    free(block);
    free(block); /* double free */
}

__attribute__((noipa)) static void keep(volatile int *value) { (void)value; }

__attribute__((noipa)) static void decide(void)
{
    volatile int value;
    keep(&value);
    if (value == 3) decisions++; /* uninitialised */
}

__attribute__((noipa)) static void store_far_away(volatile int *address)
{
    *address = 1; /* unmapped */
}

int main(void)
{
    print("<script>alert('printed')</script> | `a` ]]> \x1b[31mred\n");
    load_names();
    decide();
    close_twice();
    store_far_away((volatile int *)0x60000000);
    return 0;
}
