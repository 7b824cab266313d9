/* Runs main, or another function, on a stack of its own; marks name the lines that the tests look for. */
#include <alloca.h>
#include <stdint.h>
#include <stdlib.h>

#ifndef SECTION
#define SECTION ".noinit"
#endif
#ifndef RUNS
#define RUNS deep(10)
#endif
#define STACK(name, bytes) __attribute__((aligned(8), section(SECTION), used)) char name[bytes]

__attribute__((noreturn)) void _exit(int status);
extern char _estack[];

STACK(before, 4000);
STACK(first_stack, 2048);
STACK(task_stack, 4096);
STACK(other_stack, 1024);

static uint32_t *task_sp, *other_sp, *main_sp;

__attribute__((noipa)) static void use(volatile char *bytes) { bytes[0] = 1; }

__attribute__((noipa)) static void deep(int n)
{
    volatile char bytes[120];
    use(bytes);
    if (n) deep(n - 1);
    use(bytes);
}

__attribute__((noipa, unused)) static void too_deep(int n)
{ /* too_deep */
    volatile char bytes[600];
    use(bytes);
    if (n) too_deep(n - 1);
    use(bytes);
}

__attribute__((noipa, unused)) static void grow(unsigned bytes)
{
    use(alloca(bytes)); /* grow */
}

__attribute__((naked, unused)) static void on_process_stack(char *top, void (*run)(void))
{
    __asm__ volatile("msr psp, r0\n movs r0, #2\n msr control, r0\n isb\n bx r1");
}

/* As in startup code that goes on at once: the instruction after MSR is the first push on the new stack. */
__attribute__((naked, unused)) static void on_process_stack_at_once(char *top, void (*run)(void))
{
    __asm__ volatile("msr psp, r0\n movs r0, #2\n msr control, r0\n push {r0-r7}\n bx r1");
}

__attribute__((naked, unused)) static void on_stack(char *top, void (*run)(void))
{
    __asm__ volatile("mov sp, r0\n bx r1");
}

__attribute__((naked, noipa)) static void change(uint32_t **from, uint32_t *to)
{
    __asm__ volatile("push {r4-r11, lr}\n str sp, [r0]\n mov sp, r1\n pop {r4-r11, pc}");
}

static uint32_t *prepared(char *end, void (*run)(void))
{
    uint32_t *sp = (uint32_t *)end - 9;
    sp[8] = (uint32_t)run;
    return sp;
}

static void task(void)
{
    for (int round = 1;; round++) {
        deep(round);
        change(&task_sp, other_sp);
    }
}

static void other(void)
{
    for (int round = 0;; round++) {
        deep(round % 3);
        change(&other_sp, round == 8 ? main_sp : task_sp);
    }
}

/* Two tasks that hand over to each other, as coroutines do. */
__attribute__((unused)) static void take_turns(void)
{
    task_sp = prepared(task_stack + sizeof task_stack, task);
    other_sp = prepared(other_stack + sizeof other_stack, other);
    change(&main_sp, task_sp);
    deep(2);
}

/* A task whose stack comes from the heap. */
__attribute__((unused)) static void run_from_heap(void)
{
    char *stack = malloc(1504);
    task_sp = prepared((char *)(((uintptr_t)stack + 1504) & ~7u), task);
    other_sp = prepared(other_stack + sizeof other_stack, other);
    change(&main_sp, task_sp);
}

/* Frames whose size or alignment is known only at run time. */
__attribute__((noipa, unused)) static void sizes_at_run_time(int n)
{
    __attribute__((aligned(64))) volatile char aligned[100];
    volatile char bytes[n * 7 + 1];
    use(aligned), use(bytes);
    for (int i = 1; i < n; i++) use(alloca(8 * i));
    if (n > 1) sizes_at_run_time(n / 2);
    use(aligned), use(bytes);
}

/* Locals that are wrong to use. */
__attribute__((noipa)) static char *itself(char *bytes) { return bytes; }

__attribute__((noipa, unused)) static void unset_local(void)
{
    volatile uint32_t values[4];
    use((volatile char *)values);
    if (values[2] == 3) use(before); /* unset_local */
}

__attribute__((noipa)) static char *lost(void)
{
    char bytes[64];
    use(bytes);
    return itself(bytes);
}

__attribute__((noipa, unused)) static void lost_local(void)
{
    volatile char *bytes = lost();
    before[0] = *bytes; /* lost_local */
}

/* A task as a scheduler starts it, with a first context of zeros: it has no return address. */
__attribute__((naked, unused)) static void begin_task(char *top, void (*run)(void))
{
    __asm__ volatile("mov sp, r0\n mov lr, #0\n bx r1");
}

__attribute__((noipa, unused)) static void outermost(void)
{
    use((char *)malloc(8) + 8);
    _exit(0);
}

/* A local of main's that a task on another stack sets, or does not. */
static volatile uint32_t *wanted;

__attribute__((noipa, unused)) static void set(void)
{
    *wanted = 3;
    change(&task_sp, main_sp);
}

__attribute__((noipa, unused)) static void leave(void) { change(&task_sp, main_sp); }

__attribute__((noipa, unused)) static void set_elsewhere(void (*task)(void))
{
    volatile uint32_t value;
    wanted = &value;
    task_sp = prepared(task_stack + sizeof task_stack, task);
    change(&main_sp, task_sp);
    if (value == 3) use(before); /* set_elsewhere */
}

/* main calls RUNS on whichever stack. */
__attribute__((noipa, noreturn, unused)) static void job(void)
{
    RUNS;
    _exit(0);
}

int main(void)
{
#ifdef MAIN
    MAIN;
#endif
    job();
}
