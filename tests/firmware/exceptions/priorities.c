/* Priorities, masks, preemption and tail-chaining (DDI 0403E, B1.5.4, B1.5.5 and B1.5.12). */
#include "suite.h"

static uint32_t frame_at;

/* Interrupt i notes i, pends the interrupts in wanted[i] once, and notes i again. */
static uint32_t wanted[8];

HANDLER(interrupt)
{
    (void)frame, (void)exc_return;
    uint32_t number = READ_SPECIAL(ipsr) - INTERRUPT, others = wanted[number];
    wanted[number] = 0;
    note(number), note(IABR);
    if (others) ISPR = others, barrier();
    note(0x100 + number);
}

__attribute__((unused)) static void prepare(const uint8_t *priorities)
{
    for (uint32_t i = 0; i < 8; i++) on(INTERRUPT + i, interrupt), IPR(i) = priorities[i];
    ISER = 0xFF;
}

#ifdef nesting
void program(void)
{
    prepare((const uint8_t[8]){0x60, 0x40, 0x20, 0, 0, 0, 0, 0});
    wanted[0] = 2, wanted[1] = 4;
    pend(0), note(IABR);
}
#endif

#ifdef lower_priority_waits
void program(void)
{
    prepare((const uint8_t[8]){0x20, 0x40, 0x20, 0, 0, 0, 0, 0});
    wanted[0] = 2 | 4; /* a lower and an equal priority */
    pend(0);
}
#endif

#ifdef equal_priorities_by_number
void program(void)
{
    prepare((const uint8_t[8]){0x40, 0x40, 0x40, 0x20, 0x40, 0x40, 0x40, 0x40});
    ISPR = 0xFE, barrier();
}
#endif

#ifdef subpriority
void program(void)
{
    AIRCR = 0x05FA0500u; /* two bits of group, two of subpriority */
    prepare((const uint8_t[8]){0x70, 0x60, 0x50, 0x40, 0x30, 0x20, 0x10, 0x00});
    wanted[0] = 0x0E, wanted[4] = 0x60; /* within a group nothing preempts, but the order is by subpriority */
    pend(0), pend(4);
}
#endif

#ifdef groups_preempt
void program(void)
{
    AIRCR = 0x05FA0500u;
    prepare((const uint8_t[8]){0xC0, 0x90, 0x80, 0x40, 0, 0, 0, 0});
    wanted[0] = 2 | 4, wanted[2] = 8;
    pend(0);
}
#endif

#ifdef primask_blocks
void program(void)
{
    prepare((const uint8_t[8]){0});
    __asm__ volatile("cpsid i");
    pend(0), note(ISPR & 1);
    __asm__ volatile("cpsie i\n\tisb" ::: "memory");
    note(ISPR & 1);
}
#endif

#ifdef basepri_blocks
void program(void)
{
    prepare((const uint8_t[8]){0x40, 0x50, 0x60, 0, 0, 0, 0, 0});
    WRITE_SPECIAL(basepri, 0x50);
    ISPR = 7, barrier(), note(ISPR & 7);
    WRITE_SPECIAL(basepri, 0x60), note(ISPR & 7);
    WRITE_SPECIAL(basepri, 0), note(ISPR & 7);
}
#endif

#ifdef basepri_and_groups
void program(void)
{
    AIRCR = 0x05FA0500u;
    prepare((const uint8_t[8]){0x50, 0x30, 0, 0, 0, 0, 0, 0});
    WRITE_SPECIAL(basepri, 0x70); /* its group is 0x40 */
    ISPR = 3, barrier(), note(ISPR & 3);
    WRITE_SPECIAL(basepri, 0);
}
#endif

#ifdef faultmask_blocks_and_ends
HANDLER(supervisor)
{
    (void)frame, (void)exc_return;
    __asm__ volatile("cpsid f");
    pend(0), note(ISPR & 1), note(READ_SPECIAL(faultmask));
}

void program(void)
{
    prepare((const uint8_t[8]){0});
    on(SVC, supervisor);
    SHPR(SVC) = 0x80;
    __asm__ volatile("svc 0");
    note(READ_SPECIAL(faultmask));
}
#endif

#ifdef tail_chaining
HANDLER(chained)
{
    note(READ_SPECIAL(ipsr)), note(exc_return);
    note(frame_at ? frame_at - (uint32_t)(uintptr_t)frame : 0);
    frame_at = (uint32_t)(uintptr_t)frame;
    if (READ_SPECIAL(ipsr) == INTERRUPT) ISPR = 2, barrier(), note(ISPR & 2);
}

void program(void)
{
    on(INTERRUPT, chained), on(INTERRUPT + 1, chained);
    IPR(0) = IPR(1) = 0x40, ISER = 3;
    pend(0);
}
#endif

#ifdef pended_again_in_its_handler
void program(void)
{
    prepare((const uint8_t[8]){0x40, 0, 0, 0, 0, 0, 0, 0});
    wanted[0] = 1;
    pend(0);
}
#endif

#ifdef cleared_before_it_is_taken
void program(void)
{
    prepare((const uint8_t[8]){0x40, 0, 0, 0, 0, 0, 0, 0});
    __asm__ volatile("cpsid i");
    pend(0), ICPR = 1;
    __asm__ volatile("cpsie i\n\tisb" ::: "memory");
    note(ISPR & 1);
}
#endif

#ifdef switched_off_stays_pending
void program(void)
{
    prepare((const uint8_t[8]){0x40, 0, 0, 0, 0, 0, 0, 0});
    ICER = 1, pend(0), note(ISPR & 1), note(ICSR >> 12 & 0x1FF);
    ISER = 1, barrier(), note(ISPR & 1);
}
#endif

#ifdef priority_is_raised_while_pending
void program(void)
{
    prepare((const uint8_t[8]){0x80, 0x60, 0, 0, 0, 0, 0, 0});
    WRITE_SPECIAL(basepri, 0x40);
    ISPR = 3, barrier(), note(ISPR & 3);
    IPR(0) = 0x20, barrier(), note(ISPR & 3);
    WRITE_SPECIAL(basepri, 0);
}
#endif

#ifdef software_trigger
static void regain(void) { WRITE_SPECIAL(control, 0); }

void program(void)
{
    prepare((const uint8_t[8]){0}), on(SVC, regain);
    STIR = 3, barrier();
    CCR |= 2; /* USERSETMPEND */
    WRITE_SPECIAL(control, 1);
    STIR = 2, barrier();
    __asm__ volatile("svc 0");
}
#endif

#ifdef system_exceptions_preempt
static void system_handler(void)
{
    note(READ_SPECIAL(ipsr)), note(SHCSR & 0xFFFu), note(ICSR & 0x9FFu);
    if (READ_SPECIAL(ipsr) == SYS_TICK) __asm__ volatile("svc 0");
}

void program(void)
{
    on(SVC, system_handler), on(PEND_SV, system_handler), on(SYS_TICK, system_handler);
    SHPR(SVC) = 0x20, SHPR(PEND_SV) = 0xF0, SHPR(SYS_TICK) = 0x80;
    ICSR = PEND_SV_SET | 1u << 26, barrier();
    note(SHCSR & 0xFFFu);
}
#endif

#ifdef nmi_ignores_masks
static void nmi(void) { note(READ_SPECIAL(ipsr)), note(READ_SPECIAL(faultmask)); }

void program(void)
{
    on(NMI, nmi);
    __asm__ volatile("cpsid i\n\tcpsid f");
    ICSR = 1u << 31, barrier();
    note(READ_SPECIAL(faultmask)), note(READ_SPECIAL(primask));
}
#endif

#ifdef handler_lowers_its_mask
/* What a handler does to BASEPRI stays after its return. */
HANDLER(masks)
{
    (void)frame, (void)exc_return;
    WRITE_SPECIAL(basepri, 0x30);
}

void program(void)
{
    on(SVC, masks);
    __asm__ volatile("svc 0");
    note(READ_SPECIAL(basepri));
    prepare((const uint8_t[8]){0x40, 0x20, 0, 0, 0, 0, 0, 0});
    ISPR = 3, barrier(), note(ISPR & 3);
}
#endif
