/* Faults as exceptions, and their escalation (DDI 0403E, B1.5.13 to B1.5.15). */
#include "suite.h"

#define INVPC (1u << 18)

static uint32_t resume_at;

/* Note the status, and go on after the instruction. */
HANDLER(fault)
{
    note(READ_SPECIAL(ipsr)), note(CFSR), note(HFSR), note(exc_return), note(SHCSR & 0xFFFFu);
    if (CFSR & INVPC) finish(); /* EXC_RETURN is still illegal */
    CFSR = CFSR, HFSR = HFSR;
    frame[7] |= 1u << 24;
    frame[6] = resume_at ? resume_at : frame[6] + 2;
}

__attribute__((unused)) static void prepare(uint32_t enables)
{
    for (uint32_t number = HARD_FAULT; number <= USAGE_FAULT; number++) on(number, fault);
    SHCSR = enables << 16;
}

#ifdef undefined_instruction
void program(void)
{
    prepare(7);
    __asm__ volatile("udf 0");
    note(CFSR);
}
#endif

#ifdef undefined_instruction_escalates
void program(void)
{
    prepare(0);
    __asm__ volatile("udf 0");
    note(HFSR);
}
#endif

#ifdef masked_fault_escalates
void program(void)
{
    prepare(7);
    __asm__ volatile("cpsid i\n\tudf 0\n\tcpsie i");
}
#endif

#ifdef supervisor_call_escalates
void program(void)
{
    prepare(7), on(SVC, fault);
    resume_at = 0;
    __asm__ volatile("cpsid i\n\tsvc 0\n\tnop\n\tcpsie i");
}
#endif

#ifdef fault_in_a_handler
/* A fault preempts a handler of lower priority, and escalates in one of higher priority. */
static void interrupt(void) { __asm__ volatile("udf 0"); }

void program(void)
{
    prepare(7), on(INTERRUPT, interrupt), on(INTERRUPT + 1, interrupt);
    SHPR(USAGE_FAULT) = 0x40, IPR(0) = 0x80, IPR(1) = 0x20, ISER = 3;
    pend(0), pend(1);
}
#endif

#ifdef bus_fault
void program(void)
{
    prepare(7);
    __asm__ volatile("ldr r1, [%0]" ::"l"(0x90000000u) : "r1", "memory");
    note(BFAR);
    __asm__ volatile("strb r1, [%0]" ::"l"(0x90000004u) : "r1", "memory");
    note(BFAR);
}
#endif

#ifdef bus_fault_escalates
void program(void)
{
    prepare(0);
    __asm__ volatile("ldr r1, [%0]" ::"l"(0x90000000u) : "r1", "memory");
    note(BFAR);
}
#endif

#ifdef jump_without_thumb_bit
void program(void)
{
    prepare(7);
    __asm__ volatile("adr r0, 1f\n\tstr r0, [%0]\n\tldr r1, =0x100\n\tblx r1\n\t.align 2\n1:\n\tnop" ::"l"(&resume_at)
                     : "r0", "r1", "lr", "memory");
}
#endif

#ifdef jump_where_nothing_executes
void program(void)
{
    prepare(7);
    __asm__ volatile("adr r0, 1f\n\tstr r0, [%0]\n\tldr r1, =0xE0000001\n\tblx r1\n\t.align 2\n1:\n\tnop" ::"l"(
                         &resume_at)
                     : "r0", "r1", "lr", "memory");
}
#endif

#ifdef illegal_return
/* EXC_RETURN with bits that no return has. */
__attribute__((naked)) static void supervisor(void) { __asm__ volatile("mvn lr, #0\n\tbx lr"); }

void program(void)
{
    prepare(7), on(SVC, supervisor);
    __asm__ volatile("svc 0\n\tnop");
    note(SHCSR & 0xFFFu);
}
#endif

#ifdef illegal_return_to_a_handler
__attribute__((naked)) static void supervisor(void) { __asm__ volatile("mvn lr, #14\n\tbx lr"); } /* 0xfffffff1 */

void program(void)
{
    prepare(7), on(SVC, supervisor);
    __asm__ volatile("svc 0\n\tnop");
    note(SHCSR & 0xFFFu);
}
#endif

#ifdef breakpoint_without_debugger
void program(void)
{
    prepare(7);
    __asm__ volatile("bkpt 1");
}
#endif

#ifdef division_by_zero
void program(void)
{
    uint32_t quotient = 7, zero = 0;
    prepare(7);
    __asm__ volatile("udiv %0, %0, %1" : "+r"(quotient) : "r"(zero));
    note(quotient), quotient = 7; /* without the trap the quotient is 0 */
    CCR |= 1u << 4, barrier();
    resume_at = 0;
    __asm__ volatile("adr r0, 1f\n\tstr r0, [%2]\n\tudiv %0, %0, %1\n\t.align 2\n1:\n\tnop"
                     : "+&r"(quotient) : "r"(zero), "r"(&resume_at) : "r0", "memory");
    note(quotient);
    __asm__ volatile("adr r0, 1f\n\tstr r0, [%2]\n\tsdiv %0, %0, %1\n\t.align 2\n1:\n\tnop"
                     : "+&r"(quotient) : "r"(zero), "r"(&resume_at) : "r0", "memory");
    note(quotient);
    CCR &= ~(1u << 4), barrier();
    __asm__ volatile("sdiv %0, %0, %1" : "+r"(quotient) : "r"(zero));
    note(quotient);
}
#endif

#ifdef unaligned_accesses
static uint32_t words[4] = {0x11111111u, 0x22222222u, 0x33333333u};

void program(void)
{
    prepare(7);
    char *at = (char *)words + 1;
    uint32_t value = 5;
    words[0] = 0x11111111u, words[1] = 0x22222222u;
    __asm__ volatile("ldr %0, [%1]" : "=r"(value) : "r"(at) : "memory");
    note(value), value = 5;
    CCR |= 1u << 3, barrier();
    __asm__ volatile("cmp r0, r0\n\tit eq\n\tldreq %0, [%1]" : "+l"(value) : "l"(at - 1) : "cc", "memory");
    note(value), value = 5;
    __asm__ volatile("ldr %0, [%1]" : "+l"(value) : "l"(at) : "memory");
    note(value);
    __asm__ volatile("str %0, [%1]" ::"l"(value), "l"(at) : "memory");
    note(words[0]), note(words[1]);
    __asm__ volatile("strh %0, [%1]" ::"l"(value), "l"(at) : "memory");
    __asm__ volatile("ldrb %0, [%1]" : "=l"(value) : "l"(at) : "memory");
    note(words[0]), note(value);
    CCR &= ~(1u << 3), barrier();
    __asm__ volatile("ldr %0, [%1]" : "=l"(value) : "l"(at) : "memory");
    note(value);
}
#endif

#ifdef interrupted_by_a_higher_priority
/* An interrupt of higher priority waits in the fault's handler for its turn only as long as it is masked. */
static void urgent(void) { note(0x77), note(SHCSR & 8); }

HANDLER(usage)
{
    (void)exc_return;
    note(1), pend(0), note(2), frame[6] += 2;
}

void program(void)
{
    on(USAGE_FAULT, usage), on(INTERRUPT, urgent);
    SHCSR = 1u << 18, SHPR(USAGE_FAULT) = 0x40, IPR(0) = 0x20, ISER = 1;
    __asm__ volatile("udf 0");
}
#endif
