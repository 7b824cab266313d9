/* Entry and return: frames, stacks, EXC_RETURN and modes (DDI 0403E, B1.5.6 to B1.5.8). */
#include "suite.h"

__attribute__((unused)) static uint32_t seen, process_stack[64] __attribute__((aligned(8)));
#define PROCESS_TOP ((uint32_t)(uintptr_t)(process_stack + 64))

#ifdef frame_of_supervisor_call
HANDLER(supervisor)
{
    for (int i = 0; i < 5; i++) note(frame[i]);
    note(frame[6] & 1), note(*(uint16_t *)(uintptr_t)(frame[6] - 2)), note(frame[7]), note(exc_return);
    note(READ_SPECIAL(ipsr)), note(READ_SPECIAL(xpsr) & 0xFFu), note(READ_SPECIAL(control) & 7);
}

void program(void)
{
    on(SVC, supervisor);
    __asm__ volatile("movs r0, #1\n\tmovs r1, #2\n\tmovs r2, #3\n\tmovs r3, #4\n\tmov.w r12, #5\n\tcmp r0, r0\n\tsvc 7" ::
                         : "r0", "r1", "r2", "r3", "r12", "cc");
}
#endif

#ifdef answer_of_supervisor_call
HANDLER(supervisor)
{
    (void)exc_return;
    frame[0] = frame[0] * 2 + frame[1];
}

void program(void)
{
    on(SVC, supervisor);
    register uint32_t r0 __asm__("r0") = 20, r1 __asm__("r1") = 2;
    __asm__ volatile("svc 1" : "+r"(r0) : "r"(r1) : "memory");
    note(r0), note(READ_SPECIAL(ipsr)), note(READ_SPECIAL(control) & 3);
}
#endif

#ifdef pended_and_taken_behind_a_barrier
HANDLER(pended)
{
    (void)frame;
    note(exc_return), note(READ_SPECIAL(ipsr)), seen++;
}

void program(void)
{
    on(PEND_SV, pended);
    note(seen), ICSR = PEND_SV_SET, barrier(), note(seen);
}
#endif

#ifdef alignment_of_the_stack
HANDLER(supervisor)
{
    (void)exc_return;
    note((uint32_t)(uintptr_t)frame & 7), note(frame[7] >> 9 & 1), seen = (uint32_t)(uintptr_t)frame;
}

void program(void)
{
    uint32_t before, after;
    on(SVC, supervisor);
    __asm__ volatile("mov %0, sp\n\tsvc 0\n\tmov %1, sp" : "=&r"(before), "=r"(after)::"memory");
    note(before - seen), note(after - before);
    __asm__ volatile("sub sp, #4\n\tmov %0, sp\n\tsvc 0\n\tmov %1, sp\n\tadd sp, #4" : "=&r"(before), "=r"(after)::"memory");
    note(before - seen), note(after - before);
}
#endif

#ifdef process_stack_in_thread_mode
HANDLER(supervisor)
{
    note((uint32_t)(uintptr_t)frame - READ_SPECIAL(msp)), note(exc_return), note(PROCESS_TOP - READ_SPECIAL(psp));
    note(READ_SPECIAL(control) & 3), note(((uint32_t *)(uintptr_t)READ_SPECIAL(psp))[0]);
}

void program(void)
{
    on(SVC, supervisor);
    WRITE_SPECIAL(psp, PROCESS_TOP);
    WRITE_SPECIAL(control, 2);
    __asm__ volatile("movs r0, #77\n\tsvc 0" ::: "r0", "memory");
    note(READ_SPECIAL(control) & 3), note(PROCESS_TOP - READ_SPECIAL(psp));
    WRITE_SPECIAL(control, 0);
}
#endif

#ifdef privilege_of_handlers
HANDLER(supervisor)
{
    (void)frame;
    note(exc_return), note(READ_SPECIAL(control) & 3), SHPR(PEND_SV) = 0x30, note(SHPR(PEND_SV));
    if (seen++) WRITE_SPECIAL(control, 0);
}

void program(void)
{
    on(SVC, supervisor);
    WRITE_SPECIAL(psp, PROCESS_TOP);
    WRITE_SPECIAL(control, 3);
    __asm__ volatile("svc 0");
    note(READ_SPECIAL(control) & 3);
    __asm__ volatile("svc 0");
    note(READ_SPECIAL(control) & 3); /* nPRIV was cleared, SPSEL cannot be by a handler */
    WRITE_SPECIAL(control, 0);
}
#endif

#ifdef privilege_is_enforced
HANDLER(bus)
{
    (void)exc_return;
    note(CFSR), note(BFAR), frame[6] += 2;
    WRITE_SPECIAL(control, 0);
}

void program(void)
{
    on(BUS_FAULT, bus);
    SHCSR = 1u << 17;
    WRITE_SPECIAL(control, 1);
    __asm__ volatile("ldr r1, [%0]" ::"l"(0xE000ED08u) : "r1", "memory");
    note(READ_SPECIAL(control) & 3);
}
#endif

#ifdef two_tasks
/* PendSV switches between two tasks, as RTOSes do. */
static uint32_t *stack_of[2], stacks[2][64], current;

__attribute__((naked)) static void switches(void)
{
    __asm__ volatile("mrs r0, psp\n\tstmdb r0!, {r4-r11}\n\tpush {r3, lr}\n\tbl next_task\n\tpop {r3, lr}\n\t"
                     "ldmia r0!, {r4-r11}\n\tmsr psp, r0\n\tbx lr");
}

__attribute__((used)) uint32_t *next_task(uint32_t *sp)
{
    stack_of[current] = sp;
    return stack_of[current ^= 1];
}

static void task(uint32_t first, uint32_t step)
{
    for (uint32_t i = 0; i < 4; i++) note(first += step), ICSR = PEND_SV_SET, barrier();
    finish();
}

void program(void)
{
    on(PEND_SV, switches);
    uint32_t *frame = stacks[1] + 64 - 8;
    frame[0] = 0x200, frame[1] = 2, frame[6] = (uint32_t)(uintptr_t)task & ~1u, frame[7] = 1u << 24;
    stack_of[1] = frame - 8;
    WRITE_SPECIAL(psp, (uint32_t)(uintptr_t)(stacks[0] + 64));
    WRITE_SPECIAL(control, 2);
    task(0x100, 1);
}
#endif

#ifdef state_of_an_it_block
HANDLER(usage)
{
    (void)exc_return;
    note(frame[7]), frame[6] += 2, frame[7] = (frame[7] & ~0x0600FC00u) | seen;
}

void program(void)
{
    uint32_t result = 0;
    on(USAGE_FAULT, usage);
    SHCSR = 1u << 18;
    __asm__ volatile("cmp r0, r0\n\tittee eq\n\tudfeq #0\n\tmoveq %0, #1\n\tmovne %0, #2\n\tmovne %0, #3"
                     : "+r"(result)::"cc");
    note(result);
    seen = 0x04000C00u; /* the state for the rest of the block: ITEE EQ after the first instruction */
    __asm__ volatile("cmp r0, r0\n\tittee eq\n\tudfeq #0\n\tmoveq %0, #1\n\tmovne %0, #2\n\tmovne %0, #3"
                     : "+r"(result)::"cc");
    note(result);
}
#endif

#ifdef flags_survive
HANDLER(supervisor)
{
    (void)frame, (void)exc_return;
    __asm__ volatile("movs r0, #0\n\tcmp r0, #1\n\tmsr apsr_nzcvqg, r0" ::: "r0", "cc");
}

void program(void)
{
    uint32_t flags = 0xF80F0000u, after;
    on(SVC, supervisor);
    __asm__ volatile("msr apsr_nzcvqg, %1\n\tsvc 0\n\tmrs %0, apsr" : "=r"(after) : "r"(flags) : "cc", "memory");
    note(after & 0xF80F0000u);
}
#endif

#ifdef return_by_load
/* The three kinds of instruction that return: BX, POP and LDR to PC. */
__attribute__((naked)) static void by_pop(void) { __asm__ volatile("push {r4, lr}\n\tmovs r4, #9\n\tpop {r4, pc}"); }
__attribute__((naked)) static void by_load(void) { __asm__ volatile("push {lr}\n\tldr pc, [sp], #4"); }
__attribute__((naked)) static void by_bx(void) { __asm__ volatile("bx lr"); }
__attribute__((naked)) static void by_ldm(void) { __asm__ volatile("push {r4-r5, lr}\n\tldmia.w sp!, {r4-r5, pc}"); }

void program(void)
{
    handler *const ways[] = {by_pop, by_load, by_bx, by_ldm};
    for (uint32_t i = 0; i < 4; i++) {
        on(SVC, ways[i]);
        __asm__ volatile("svc 0");
        note(READ_SPECIAL(ipsr));
    }
}
#endif

#ifdef vector_table_moves
static uint32_t other_table[16] __attribute__((aligned(128)));
static void first(void) { note(1); }
static void second(void) { note(2); }

void program(void)
{
    on(SVC, first);
    __asm__ volatile("svc 0");
    other_table[SVC] = (uint32_t)(uintptr_t)second;
    VTOR = (uint32_t)(uintptr_t)other_table;
    barrier();
    __asm__ volatile("svc 0");
    note(VTOR == (uint32_t)(uintptr_t)other_table);
}
#endif

#ifdef thread_mode_from_a_handler
/* CCR.NONBASETHRDENA lets a handler return to Thread mode though another exception is active. */
HANDLER(outer)
{
    (void)frame, (void)exc_return;
    pend(1);
    note(READ_SPECIAL(ipsr));
}

__attribute__((naked)) static void inner(void)
{
    __asm__ volatile("mrs r0, msp\n\tldr r1, [r0, #28]\n\tlsrs r1, #9\n\tlsls r1, #9\n\tstr r1, [r0, #28]\n\t"
                     "mvn lr, #6\n\tbx lr");
}

void program(void)
{
    on(INTERRUPT, outer), on(INTERRUPT + 1, inner);
    CCR |= 1;
    IPR(0) = 0x80, IPR(1) = 0x40, ISER = 3;
    pend(0);
}
#endif
