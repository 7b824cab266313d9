/* The ways in which compiled code and assembly move the stack pointer; SHAPE calls one of them. */
#include <alloca.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

void emu_yield(void);
int push_behind_dynamic(int bytes);
int conditional_pushes(int flag);
int no_unwind_information(int (*call)(int), int value);
int from_itcm(int n);

static volatile int sink;

__attribute__((noinline, unused)) static void use(volatile char *bytes, int n)
{
    bytes[0] = (char)n;
    bytes[n - 1] = bytes[0];
    sink += bytes[n - 1];
}

__attribute__((noinline, unused)) static int recursion(int depth)
{
    volatile int local[4] = {depth, 1, 2, 3};
    return depth == 0 ? local[0] : recursion(depth - 1) + local[1];
}

__attribute__((noinline, unused)) static void variable_array(int n)
{
    volatile char bytes[n];
    use(bytes, n);
}

__attribute__((noinline, unused)) static void allocas(int n)
{
    for (int i = 1; i < 4; i++) use(alloca((size_t)(n * i)), n * i);
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

__attribute__((noinline, unused)) static double doubles(double a, double b, int n)
{
    double c = a * b, d = a + b, e = a - b;
    for (int i = 0; i < n; i++) {
        use((volatile char *)alloca(8), 8);
        c += d * e, d += e * c, e += c * d;
    }
    return c + d + e;
}

__attribute__((noinline, unused)) static void never_written(void)
{
    volatile char bytes[3000];
    use(bytes + 2990, 10);
}

__attribute__((noinline, unused)) static int calls_deep(int n) { return recursion(n) + conditional_pushes(n & 1); }

int main(void)
{
    emu_yield();
    SHAPE;
    emu_yield();
    return 0;
}

__asm__(".syntax unified\n"
        ".text\n.thumb\n.align 2\n"
        ".global push_behind_dynamic\n.type push_behind_dynamic, %function\n"
        "push_behind_dynamic:\n" /* one block; the deepest point is between two changes of SP that no table tells */
        "    push {r4, r5, lr}\n"
        "    mov r4, sp\n"
        "    sub sp, sp, r0\n"
        "    push {r1, r2, r3}\n"
        "    vpush {d8-d11}\n"
        "    stmdb sp!, {r1, r2}\n"
        "    str r0, [sp, #-16]!\n"
        "    add sp, #16\n"
        "    mov sp, r4\n"
        "    movs r0, #3\n"
        "    pop {r4, r5, pc}\n"
        ".size push_behind_dynamic, . - push_behind_dynamic\n"
        ".global conditional_pushes\n.type conditional_pushes, %function\n"
        "conditional_pushes:\n"
        "    push {r4, lr}\n"
        "    mov r4, sp\n"
        "    cmp r0, #0\n"
        "    ittee eq\n"
        "    pusheq {r0-r3}\n"
        "    subeq sp, #64\n"
        "    addne r0, r0, #1\n"
        "    pushne {r0}\n"
        "    push {r0, r1}\n"
        "    mov sp, r4\n"
        "    pop {r4, pc}\n"
        ".size conditional_pushes, . - conditional_pushes\n"
        ".global no_unwind_information\n.type no_unwind_information, %function\n"
        "no_unwind_information:\n"
        "    push {r4-r6, lr}\n"
        "    sub sp, #24\n"
        "    cbz r0, 1f\n"
        "    mov r4, r0\n"
        "    mov r0, r1\n"
        "    blx r4\n"
        "    add sp, #24\n"
        "    pop {r4-r6, pc}\n"
        "1:  movs r0, #0\n"
        "    add sp, #24\n"
        "    pop {r4-r6, pc}\n"
        ".size no_unwind_information, . - no_unwind_information\n"
        ".section .itcm, \"ax\", %progbits\n.thumb\n.align 2\n"
        ".global from_itcm\n.type from_itcm, %function\n"
        "from_itcm:\n"
        "    push {r4, lr}\n"
        "    sub.w sp, sp, #520\n"
        "1:  subs r0, #1\n"
        "    bne 1b\n"
        "    add.w sp, sp, #520\n"
        "    pop {r4, pc}\n"
        ".size from_itcm, . - from_itcm\n"
        ".text\n");
