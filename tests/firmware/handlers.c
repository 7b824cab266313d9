/* Handlers that fault, in code that they have interrupted. The faulting address tells how deep the stack is. */
#include <stdint.h>

void emu_yield(void);
extern char _estack[];

#define ICSR (*(volatile uint32_t *)0xE000ED04u)
#define SHPR2 (*(volatile uint32_t *)0xE000ED1Cu)
#define PEND_SV (1u << 28)
#define NOTHING 0x60000000u

static void hard_fault(void)
{
    for (;;) __asm__ volatile("");
}

__attribute__((noinline)) static uint32_t fault(void)
{
    char *sp;
    __asm__ volatile("mov %0, sp" : "=r"(sp));
    return *(volatile uint32_t *)(NOTHING + (uint32_t)(_estack - sp)); /* fault */
}

static volatile uint32_t seen;

static void pend_sv(void)
{
    volatile uint8_t bytes[200];
    bytes[0] = 1;
    seen += fault() + bytes[0]; /* pend_sv */
}

static void supervisor_call(void)
{
    volatile uint8_t bytes[40];
    bytes[0] = 1;
    ICSR = PEND_SV;
    __asm__ volatile("dsb\n isb"); /* supervisor_call */
    seen += bytes[0];
}

__attribute__((section(".isr_vector"), used)) static const uintptr_t more_vectors[14] = {
    [0] = (uintptr_t)hard_fault, [1] = (uintptr_t)hard_fault,      [2] = (uintptr_t)hard_fault,
    [3] = (uintptr_t)hard_fault, [4] = (uintptr_t)hard_fault,      [9] = (uintptr_t)supervisor_call,
    [12] = (uintptr_t)pend_sv,   [13] = (uintptr_t)hard_fault,
#ifdef RESERVED_VECTOR /* holds a checksum, which is no address of code */
    [RESERVED_VECTOR - 2] = 0xEDCBA988u,
#endif
};

__attribute__((noipa, unused)) static void is_interrupted(void)
{
    volatile uint8_t bytes[96];
    bytes[0] = 3;
    ICSR = PEND_SV;
    __asm__ volatile("dsb\n isb"); /* is_interrupted */
    seen += bytes[0];
}

/* A leaf, whose return address is in LR. */
__attribute__((naked, noinline, unused)) static void leaf_is_interrupted(void)
{
    __asm__ volatile("ldr r1, =0xE000ED04\n mov r0, #0x10000000\n str r0, [r1]\n dsb\n isb\n bx lr");
}

__attribute__((noinline, unused)) static void is_interrupted_with_floats(void)
{
    volatile float value = 1.5f;
    volatile uint8_t bytes[96];
    bytes[0] = (uint8_t)(value * 2);
    ICSR = PEND_SV;
    __asm__ volatile("dsb\n isb"); /* is_interrupted_with_floats */
    seen += bytes[0];
}

/* PendSV has the higher priority: it interrupts the handler of SVC. */
__attribute__((noinline, unused)) static void calls_the_supervisor(void)
{
    SHPR2 = 0x80000000u;
    __asm__ volatile("svc #1" ::: "memory");
    seen++; /* calls_the_supervisor */
}

static char task_stack[1024] __attribute__((aligned(8), used));

/* The task that is interrupted is on the process stack. */
__attribute__((noinline, unused)) static void starts_a_task(void)
{
    __asm__ volatile("msr psp, %0\n mov r0, #2\n msr control, r0\n isb\n mov lr, #0\n bx %1"
                     ::"r"(task_stack + sizeof task_stack), "r"(is_interrupted) : "r0");
}

int main(void)
{
    emu_yield();
    CALL();
    return 0;
}
