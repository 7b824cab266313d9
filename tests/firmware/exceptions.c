/* Exceptions, taken and returned from, and those that mean a fault; the vectors follow the two of startup.c. */
#include <stdint.h>

void emu_yield(void);

static volatile uint32_t calls, ticks;
static uint32_t table_in_ram[16] __attribute__((aligned(128)));

static void hard_fault(void)
{
    for (;;) __asm__ volatile("");
}

static void supervisor_call(void)
{
    volatile uint32_t local[100]; /* supervisor_call */
    local[0] = calls;
    calls = local[0] + 1;
}

static void sys_tick(void) { ticks++; }

__attribute__((section(".isr_vector"), used)) static const uintptr_t more_vectors[14] = {
    [0] = (uintptr_t)hard_fault, [1] = (uintptr_t)hard_fault,      [2] = (uintptr_t)hard_fault,
    [3] = (uintptr_t)hard_fault, [4] = (uintptr_t)hard_fault,      [9] = (uintptr_t)supervisor_call,
    [12] = (uintptr_t)hard_fault, [13] = (uintptr_t)sys_tick,
};

__attribute__((noinline, unused)) static int calls_the_supervisor(void)
{
    for (int i = 0; i < 3; i++) __asm__ volatile("svc #1" ::: "memory");
    return (int)calls;
}

static volatile uint32_t *const sys_tick_registers = (volatile uint32_t *)0xE000E010u;

static void start_sys_tick(void)
{
    sys_tick_registers[1] = 1000;
    sys_tick_registers[2] = 0;
    sys_tick_registers[0] = 7;
}

__attribute__((noinline, unused)) static int waits_for_ticks(void)
{
    start_sys_tick();
    while (ticks < 3) __asm__ volatile("wfi");
    sys_tick_registers[0] = 0;
    return (int)ticks;
}

/* The number of turns tells how far apart the ticks are. */
__attribute__((noinline, unused)) static int polls_for_ticks(void)
{
    int turns = 0;
    start_sys_tick();
    while (ticks < 3) turns++;
    sys_tick_registers[0] = 0;
    return turns;
}

__attribute__((noinline, unused)) static int divides_by_zero(volatile int zero)
{
    *(volatile uint32_t *)0xE000ED14u |= 1u << 4; /* CCR.DIV_0_TRP */
    int quotient;
    __asm__ volatile("sdiv %0, %1, %2" : "=r"(quotient) : "r"(7), "r"(zero)); /* divides_by_zero */
    return quotient;
}

__attribute__((noinline, unused)) static int loads_unaligned(void)
{
    uint32_t low, high;
    __asm__ volatile("ldrd %0, %1, [%2]" : "=r"(low), "=r"(high) : "r"(0x20000002u)); /* loads_unaligned */
    return (int)(low + high);
}

__attribute__((noinline, unused)) static int uses_the_fpu(void)
{
    float sum;
    __asm__ volatile("vadd.f32 %0, %1, %1" : "=t"(sum) : "t"(1.0f)); /* uses_the_fpu */
    return (int)sum;
}

/* A vector table that leads nowhere: the core cannot even take the HardFault. */
__attribute__((noinline, unused)) static int locks_up(void)
{
    *(volatile uint32_t *)0xE000ED08u = 0x60000000u; /* VTOR */
    return *(volatile int *)0x10000000u; /* locks_up */
}

/* The vectors in RAM, with other handlers than at reset. */
static void other_fault(void)
{
    for (;;) __asm__ volatile("");
}

__attribute__((noinline, unused)) static int faults_with_vectors_in_ram(void)
{
    for (int i = 0; i < 16; i++) table_in_ram[i] = (uint32_t)(uintptr_t)other_fault;
    *(volatile uint32_t *)0xE000ED08u = (uint32_t)(uintptr_t)table_in_ram;
    return *(volatile int *)0x10000000u; /* faults_with_vectors_in_ram */
}

/* As failed assertions do. */
__attribute__((noinline, unused)) static int calls_the_handler(void)
{
    void (*volatile handler)(void) = hard_fault;
    handler();
    return 1;
}

int main(void)
{
    emu_yield();
    return CALL;
}
