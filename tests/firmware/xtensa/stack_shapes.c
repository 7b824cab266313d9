/* The ways in which compiled code moves the stack pointer and the register windows; SHAPE calls one of them. */
#include <stdarg.h>
#include <stdint.h>

void emu_yield(void);
int calls_by_four(int depth);
int calls_by_twelve(int depth);

volatile int sink;

__attribute__((noinline, unused)) static void use(volatile char *bytes, int n)
{
    bytes[0] = (char)n;
    bytes[n - 1] = bytes[0];
    sink += bytes[n - 1];
}

__attribute__((noinline, unused)) static int leaf(int n) { return n * 3 + sink; }

__attribute__((noinline, unused)) static int recursion(int depth)
{
    volatile int local[4] = {depth, 1, 2, 3};
    return depth == 0 ? local[0] : recursion(depth - 1) + local[1];
}

__attribute__((noinline, unused)) static void big_frame(void)
{
    volatile char bytes[2000];
    use(bytes, 2000);
}

__attribute__((noinline, unused)) static void never_written(void)
{
    volatile char bytes[3000];
    use(bytes + 2990, 10);
}

__attribute__((noinline, unused)) static void variable_array(int n)
{
    volatile char bytes[n];
    use(bytes, n);
}

__attribute__((noinline, unused)) static void allocas(int n)
{
    for (int i = 1; i < 4; i++) use(__builtin_alloca((unsigned)(n * i)), n * i);
}

/* After deep calls the caller's registers are in memory: moving SP asks for them first. */
__attribute__((noinline, unused)) static int alloca_after_calls(int depth, int n)
{
    const int below = recursion(depth);
    allocas(n);
    use(__builtin_alloca((unsigned)n), n);
    return below + recursion(3);
}

__attribute__((noinline, unused)) static double sum(int count, ...)
{
    va_list numbers;
    double total = 0.0;
    va_start(numbers, count);
    while (count--) total += va_arg(numbers, double);
    va_end(numbers);
    return total;
}

__attribute__((noinline, unused)) static int varargs(void)
{
    return (int)sum(9, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0);
}

__attribute__((noinline, unused)) static int many_arguments(int a, int b, int c, int d, int e, int f, int g, int h, int i)
{
    volatile int kept[3] = {g, h, i};
    return a == 0 ? kept[0] + kept[1] + kept[2] : many_arguments(a - 1, c, d, e, f, g, h, i, b);
}

__attribute__((noinline, unused)) static int through_pointer(int (*volatile function)(int), int n) { return function(n) + 1; }

int main(void)
{
    emu_yield();
    SHAPE;
    emu_yield();
    return 0;
}

/* Calls that set four and twelve registers apart; GCC emits no such call. They count their depth. */
__asm__(".text\n.align 4\n"
        ".global calls_by_four\n.type calls_by_four, @function\n"
        "calls_by_four:\n"
        "    entry a1, 48\n"
        "    beqz a2, 1f\n"
        "    addi a6, a2, -1\n"
        "    call4 calls_by_four\n"
        "    addi a2, a6, 1\n"
        "1:  retw\n"
        ".size calls_by_four, . - calls_by_four\n"
        ".align 4\n"
        ".global calls_by_twelve\n.type calls_by_twelve, @function\n"
        "calls_by_twelve:\n"
        "    entry a1, 80\n"
        "    beqz a2, 1f\n"
        "    addi a14, a2, -1\n"
        "    call12 calls_by_twelve\n"
        "    addi a2, a14, 1\n"
        "1:  retw\n"
        ".size calls_by_twelve, . - calls_by_twelve\n");
