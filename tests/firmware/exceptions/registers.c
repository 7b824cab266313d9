/* The core's registers, at reset and after writes (DDI 0403E, B1.4 and B3.2). */
#include "suite.h"

#ifdef at_reset
void program(void)
{
    note(AIRCR), note(SCR), note(SHCSR), note(CFSR), note(HFSR), note(ICSR), note(ISER);
    note(REGISTER(0xE000ED18u)), note(REGISTER(0xE000ED1Cu)), note(REGISTER(0xE000ED20u)), note(IPR(3));
    note(READ_SPECIAL(ipsr)), note(READ_SPECIAL(control)), note(READ_SPECIAL(primask));
    note(READ_SPECIAL(basepri)), note(READ_SPECIAL(faultmask)), note(STCSR & 3);
    note(FPCCR & (LSPEN | ASPEN)), note(FPDSCR);
}
#endif

#ifdef priority_registers
void program(void)
{
    IPR(5) = 0xF0, note(IPR(5)), note(REGISTER(0xE000E404u));
    REGISTER(0xE000E408u) = 0x10203040u, note(IPR(8)), note(IPR(11));
    REGISTER(0xE000ED18u) = 0xF0F0F0F0u, note(REGISTER(0xE000ED18u));
    REGISTER(0xE000ED1Cu) = 0xF0F0F0F0u, note(REGISTER(0xE000ED1Cu));
    REGISTER(0xE000ED20u) = 0xF0F0F000u, note(REGISTER(0xE000ED20u));
    SHPR(PEND_SV) = 0x50, note(REGISTER(0xE000ED20u));
}
#endif

#ifdef enable_and_pend
void program(void)
{
    ISER = 0x5u, note(ISER), note(ICER);
    ICER = 0x1u, note(ISER);
    ISPR = 0x3u, note(ISPR & 3), note(ICPR & 3); /* both are off */
    ICPR = 0x3u, note(ISPR & 3), note(IABR);
    note(REGISTER(0xE000E104u));
}
#endif

#ifdef priority_group
void program(void)
{
    AIRCR = 0x12340500u, note(AIRCR); /* the wrong key */
    AIRCR = 0x05FA0500u, note(AIRCR);
    AIRCR = 0x05FA0000u, note(AIRCR);
}
#endif

#ifdef pending_state
void program(void)
{
    WRITE_SPECIAL(primask, 1);
    ICSR = PEND_SV_SET, barrier(), note(ICSR);
    ICSR = 1u << 26, barrier(), note(ICSR);
    ISER = 2u, ISPR = 2u, barrier(), note(ICSR);
    ICSR = 1u << 27, ICSR = 1u << 25, barrier(), note(ICSR);
    ICPR = 2u, barrier(), note(ICSR);
    SHCSR = 7u << 16, note(SHCSR);
    SHCSR = 0, note(SHCSR);
}
#endif

#ifdef special_registers
void program(void)
{
    WRITE_SPECIAL(psp, 0x20001000u), note(READ_SPECIAL(psp));
    WRITE_SPECIAL(basepri, 0x40), note(READ_SPECIAL(basepri));
    WRITE_SPECIAL(basepri_max, 0x60), note(READ_SPECIAL(basepri)); /* only a higher priority counts */
    WRITE_SPECIAL(basepri_max, 0x20), note(READ_SPECIAL(basepri));
    WRITE_SPECIAL(basepri_max, 0), note(READ_SPECIAL(basepri));
    WRITE_SPECIAL(primask, 3), note(READ_SPECIAL(primask));
    __asm__ volatile("cpsie i"); note(READ_SPECIAL(primask));
    __asm__ volatile("cpsid f"); note(READ_SPECIAL(faultmask));
    __asm__ volatile("cpsie f"); note(READ_SPECIAL(faultmask));
    WRITE_SPECIAL(ipsr, 5), note(READ_SPECIAL(ipsr)); /* cannot be written */
    WRITE_SPECIAL(control, 4), note(READ_SPECIAL(control) & 7);
}
#endif

#ifdef without_privilege
HANDLER(supervisor)
{
    (void)frame, (void)exc_return;
    note(READ_SPECIAL(control) & 3), note(READ_SPECIAL(primask)), note(READ_SPECIAL(basepri));
    WRITE_SPECIAL(control, 0);
}

void program(void)
{
    on(SVC, supervisor);
    WRITE_SPECIAL(basepri, 0xE0);
    WRITE_SPECIAL(control, 1);
    note(READ_SPECIAL(control) & 3), note(READ_SPECIAL(basepri)); /* reads as 0 */
    WRITE_SPECIAL(primask, 1);                                    /* is ignored */
    WRITE_SPECIAL(basepri, 0x20);
    WRITE_SPECIAL(control, 0);
    note(READ_SPECIAL(control) & 3);
    __asm__ volatile("svc 0");
    note(READ_SPECIAL(control) & 3), note(READ_SPECIAL(basepri));
}
#endif

#ifdef clears_status_by_ones
HANDLER(usage)
{
    (void)exc_return;
    note(CFSR), CFSR = 1u << 17, note(CFSR), BYTE(0xE000ED2Au) = 1, note(CFSR);
    frame[6] += 2;
}

void program(void)
{
    on(USAGE_FAULT, usage);
    SHCSR = 1u << 18;
    __asm__ volatile("udf 0");
    note(CFSR);
}
#endif
