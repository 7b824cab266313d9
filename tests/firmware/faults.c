/* One fault for each value of FAULT, on the line marked with its name. */
#include <stdint.h>
#include <stdlib.h>

void emu_yield(void);
void _exit(int status);

static volatile int sink;

__attribute__((noinline)) static void unmapped_read(void)
{
    sink = 1;
    sink = (int)*(volatile uint32_t *)0x40002C00u; /* unmapped_read */
    sink = 2;
}

__attribute__((noinline)) static void unmapped_write(void)
{
    *(volatile uint8_t *)0x10000000u = 1; /* unmapped_write */
}

__attribute__((noinline)) static void write_to_read_only(void)
{
    *(volatile uint16_t *)0x08000100u = 1; /* write_to_read_only */
}

__attribute__((noinline)) static void unmapped_fetch(void)
{
    ((void (*)(void))0x60000001u)(); /* unmapped_fetch */
    sink = 3;
}

__attribute__((noinline)) static void fetch_from_no_execute(void)
{
    ((void (*)(void))0xE000E001u)(); /* fetch_from_no_execute */
    sink = 3;
}

__attribute__((noinline)) static void arm_state(void)
{
    ((void (*)(void))0x08000100u)(); /* arm_state */
    sink = 3;
}

__attribute__((noinline)) static void null_call(void)
{
    void (*volatile nothing)(void) = 0;
    nothing(); /* null_call */
    sink = 3;
}

static void *volatile *const never_set = (void *volatile *)0x20018000u; /* RAM that nothing writes */

__attribute__((noinline)) static void never_set_jump(void)
{
    ((void (*)(void))*never_set)(); /* never_set_jump */
    sink = 5;
}

__attribute__((noinline)) static void never_set_read(void)
{
    sink = ((volatile uint32_t *)*never_set)[3]; /* never_set_read */
}

__attribute__((noinline)) static void never_set_write(void)
{
    *(volatile uint8_t *)*never_set = 1; /* never_set_write */
}

__attribute__((noinline)) static void invalid_instruction(void)
{
    sink = 4;
    __asm__ volatile("udf #1"); /* invalid_instruction */
}

__attribute__((noinline)) static void breakpoint(void)
{
    __asm__ volatile("bkpt #7"); /* breakpoint */
}

__attribute__((noinline)) static void supervisor_call(void)
{
    __asm__ volatile("svc #1"); /* supervisor_call */
}

__attribute__((noinline)) static void wait_for_interrupt(void)
{
    __asm__ volatile("wfi"); /* wait_for_interrupt */
}

__attribute__((noinline)) static void wait_for_event(void)
{
    __asm__ volatile("wfe"); /* wait_for_event */
}

/* An emulator ends a bare `b .` at once. */
__attribute__((noinline)) static void endless_loop(void)
{
    for (;;) __asm__ volatile("nop"); /* endless_loop */
}

__attribute__((noinline)) static int endless_recursion(int depth) /* endless_recursion */
{
    volatile int local[20] = {depth};
    return depth < 0 ? 0 : endless_recursion(depth + 1) + local[0];
}

__attribute__((noinline)) static void large_frame(int n)
{
    volatile char bytes[n]; /* large_frame */
    bytes[0] = 1;
    sink = bytes[0];
}

__attribute__((noinline)) static void exits(void) { _exit(42); }

__attribute__((noinline)) static void yields_to_the_core(void) { __asm__ volatile("yield\n\tyield"); }

int main(void)
{
    emu_yield();
    FAULT;
    emu_yield();
    return 0;
}
