/* One fault for each value of FAULT, on the line marked with its name; unaligned access is no fault on the ESP32-S3. */
#include <stdint.h>

void emu_yield(void);
void emu_exit(int status);

#ifndef INTERRUPT
#define INTERRUPT 0x80 /* the interrupt of level 1 that software raises; 0x800 is of level 3 */
#endif

static volatile int sink;
static const uint32_t in_flash = 1;
static volatile uint8_t bytes[8] = {1, 2, 3, 4, 5, 6, 7, 8}; /* startup copies them from flash */

__attribute__((noinline)) static void unmapped_read(void)
{
    sink = 1;
    sink = (int)*(volatile uint32_t *)0x10000000u; /* unmapped_read */
    sink = 2;
}

__attribute__((noinline)) static void unmapped_write(void)
{
    *(volatile uint8_t *)0x10000000u = 1; /* unmapped_write */
}

__attribute__((noinline)) static void peripheral_read(void)
{
    sink = (int)*(volatile uint32_t *)0x60004004u; /* peripheral_read: GPIO */
}

__attribute__((noinline)) static void write_to_read_only(void)
{
    *(volatile uint32_t *)&in_flash = 2; /* write_to_read_only */
}

__attribute__((noinline)) static void unmapped_fetch(void)
{
    void (*volatile nowhere)(void) = (void (*)(void))0x50400000u;
    nowhere(); /* unmapped_fetch */
    sink = 3;
}

__attribute__((noinline)) static void fetch_from_no_execute(void)
{
    void (*volatile data)(void) = (void (*)(void))0x3fc90000u;
    data(); /* fetch_from_no_execute */
    sink = 3;
}

__attribute__((noinline)) static void null_call(void)
{
    void (*volatile nothing)(void) = 0;
    nothing(); /* null_call */
    sink = 3;
}

__attribute__((noinline)) static void null_pointer_read(void)
{
    volatile uint32_t *volatile nothing = 0;
    sink = (int)nothing[3]; /* null_pointer_read */
}

__attribute__((noinline)) static void null_pointer_write(void)
{
    volatile uint32_t *volatile nothing = 0;
    nothing[3] = 1; /* null_pointer_write */
}

__attribute__((noinline)) static void unaligned_read(void)
{
    volatile uintptr_t address = (uintptr_t)bytes + 1;
    sink = (int)*(volatile uint32_t *)address; /* unaligned_read */
}

__attribute__((noinline)) static void unaligned_write(void)
{
    volatile uintptr_t address = (uintptr_t)bytes + 3;
    *(volatile uint32_t *)address = 0xa4a3a2a1u; /* unaligned_write */
    sink = bytes[2] | bytes[3] << 8 | bytes[6] << 16 | bytes[7] << 24;
}

__attribute__((noinline)) static void division_by_zero(void)
{
    volatile int zero = 0;
    sink = 7 / zero; /* division_by_zero */
}

__attribute__((noinline)) static void invalid_instruction(void)
{
    sink = 4;
    __asm__ volatile("ill"); /* invalid_instruction */
}

/* Bytes have no line of their own: they belong to the instruction before. */
__attribute__((noinline)) static void high_product(void)
{
    __asm__ volatile("nop\n\t.byte 0x80, 0x88, 0xa2" ::: "a8"); /* high_product: MULUH */
}

__attribute__((noinline)) static void vector_instruction(void)
{
    __asm__ volatile("nop\n\t.byte 0x24, 0x1a, 0x83"); /* vector_instruction */
}

__attribute__((noinline)) static void lost_return_address(void)
{
    __asm__ volatile("movi a0, 0x1234\n\tretw" ::: "a0"); /* lost_return_address */
}

__attribute__((noipa)) static int leaf(volatile int *n) { return *n + 1; }

__attribute__((noinline)) static void without_windows(void)
{
    __asm__ volatile("wsr.ps %0\n\trsync" ::"a"(1 << 5));
    sink = leaf(&sink);
}

__attribute__((noinline)) static void no_stack(void)
{
    int sp;
    __asm__ volatile("mov %0, a1\n\tmovi a1, 0\n\tnop\n\tmov a1, %0" : "=&a"(sp));
}

__attribute__((noinline)) static void exchanged_stack(void)
{
    __asm__ volatile("wsr.misc0 %0\n\txsr.misc0 a1\n\tnop\n\txsr.misc0 a1" ::"a"(0x3fc90000));
}

__attribute__((noinline)) static void interrupt(void)
{
    unsigned old;
    __asm__ volatile("wsr.intenable %1\n\trsil %0, 0\n\trsync" : "=&a"(old) : "a"(0x880));
    __asm__ volatile("wsr.intset %0\n\trsync" ::"a"(INTERRUPT)); /* interrupt */
}

/* Another value than expected would be left as it is. */
__attribute__((noinline)) static void atomic_store(void)
{
    static volatile int lock = 7;
    int value = 5;
    __asm__ volatile("wsr.scompare1 %1\n\ts32c1i %0, %2, 0" : "+a"(value) : "a"(7), "a"(&lock) : "memory");
    sink = value << 8 | lock;
}

__attribute__((noinline)) static void breakpoint(void)
{
    __asm__ volatile("break 1, 15"); /* breakpoint */
}

__attribute__((noinline)) static void system_call(void)
{
    __asm__ volatile("syscall"); /* system_call */
}

__attribute__((noinline)) static void wait_for_interrupt(void)
{
    __asm__ volatile("waiti 0"); /* wait_for_interrupt */
}

__attribute__((noinline)) static void endless_loop(void)
{
    __asm__ volatile("1: j 1b"); /* endless_loop */
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

/* A fault below many frames, most of them stored to the stack. */
__attribute__((noinline)) static int deep_fault(int depth)
{
    if (depth == 0) unmapped_read();
    return depth == 0 ? sink : deep_fault(depth - 1) + 1;
}

__attribute__((noinline)) static void exits(void) { emu_exit(42); }

/* No fault: a loop that ends by the clock. */
__attribute__((noinline, unused)) static void wait_for_cycles(uint32_t cycles)
{
    uint32_t start, now;
    __asm__ volatile("rsr.ccount %0" : "=r"(start));
    do __asm__ volatile("rsr.ccount %0" : "=r"(now));
    while (now - start < cycles);
}

int main(void)
{
    emu_yield();
    FAULT;
    emu_yield();
    return 0;
}
