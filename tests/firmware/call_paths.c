/* The ways in which functions are entered and left. */
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

void emu_yield(void);
int into_the_middle(int n);

static jmp_buf home;
static volatile int sink;

#define NOINLINE __attribute__((noinline))

NOINLINE static int leaf(int n) { return n + sink; }

NOINLINE static int fibonacci(int n) { return n < 2 ? n : fibonacci(n - 1) + fibonacci(n - 2); }

NOINLINE static int odd(int n);
NOINLINE static int even(int n) { return n == 0 ? leaf(n) : odd(n - 1); }
NOINLINE static int odd(int n) { return n == 0 ? sink : even(n - 1); }

NOINLINE static int descending(const void *a, const void *b) { return leaf(*(const int *)b) - *(const int *)a; }

NOINLINE static void throws(int depth)
{
    if (depth == 0) longjmp(home, 1);
    if (sink >= 0) throws(depth - 1);
    sink++;
}

NOINLINE static int catches(int depth)
{
    if (setjmp(home) == 0) throws(depth);
    return leaf(depth);
}

/* Throws to itself: one function is left, and catches. */
NOINLINE static int recursive_catch(int depth)
{
    if (depth == 0) longjmp(home, 1);
    if (depth == 3 && setjmp(home) != 0) return leaf(depth);
    return recursive_catch(depth - 1) + leaf(1);
}

NOINLINE static int through(int (*const *calls)(int), int count)
{
    int total = 0;
    for (int i = 0; i < count; i++) total += calls[i](i);
    return total;
}

int main(void)
{
    static int (*const calls[])(int) = {leaf, even, fibonacci, catches, leaf};
    int numbers[] = {3, 1, 4, 1, 5, 9, 2, 6};
    char text[64];
    sink += fibonacci(7);
    sink += even(9);
    emu_yield();
    for (int depth = 0; depth < 4; depth++) sink += catches(depth);
    sink += recursive_catch(5);
    emu_yield();
    sink += through(calls, 5);
    sink += into_the_middle(3);
    qsort(numbers, 8, sizeof numbers[0], descending);
    memset(text, numbers[0], sizeof text);
    sink += text[3];
    return 0;
}

__asm__(".syntax unified\n"
        ".text\n.thumb\n.align 2\n"
        ".global into_the_middle\n.type into_the_middle, %function\n"
        "into_the_middle:\n"
        "    push {r4, lr}\n"
        "    movs r4, #3\n"
        "    b shared_tail\n"
        ".size into_the_middle, . - into_the_middle\n"
        ".global owns_the_tail\n.type owns_the_tail, %function\n"
        "owns_the_tail:\n"
        "    push {r4, lr}\n"
        "    movs r4, #1\n"
        ".Lloop:\n"
        ".thumb_set shared_tail, .Lloop\n"
        "    bl called_from_the_tail\n"
        "    subs r4, #1\n"
        "    bne .Lloop\n"
        "    pop {r4, pc}\n"
        ".size owns_the_tail, . - owns_the_tail\n"
        ".global called_from_the_tail\n.type called_from_the_tail, %function\n"
        "called_from_the_tail:\n"
        "    bx lr\n"
        ".size called_from_the_tail, . - called_from_the_tail\n");
