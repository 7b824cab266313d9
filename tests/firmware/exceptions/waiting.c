/* SysTick, and waiting for interrupts and events (DDI 0403E, B3.3, B1.5.18 and B1.5.19). */
#include "suite.h"

static volatile uint32_t ticks;
__attribute__((unused)) static void tick(void) { ticks++; }

#ifdef ticks_wake
void program(void)
{
    on(SYS_TICK, tick);
    STRVR = 20000, STCVR = 0, STCSR = 7;
    while (ticks < 3) __asm__ volatile("wfi");
    STCSR = 0;
    note(ticks), note(ICSR >> 26 & 1);
}
#endif

#ifdef wakes_though_masked
void program(void)
{
    on(SYS_TICK, tick);
    __asm__ volatile("cpsid i");
    STRVR = 20000, STCVR = 0, STCSR = 7;
    __asm__ volatile("wfi");
    note(ticks), note(ICSR >> 26 & 1);
    STCSR = 0;
    __asm__ volatile("cpsie i\n\tisb" ::: "memory");
    note(ticks);
}
#endif

#ifdef counts_to_zero
void program(void)
{
    STRVR = 1000, STCVR = 0, STCSR = 5;
    while ((STCSR >> 16 & 1) == 0) {}
    note(STCVR <= 1000), note(STRVR), STCVR = 0, note(STCSR >> 16 & 1);
    STCSR = 0, note(STCSR & 3), note(ticks);
}
#endif

#ifdef events
/* SEV, the end of a handler and a pended interrupt (by SEVONPEND) let WFE go on. */
static void nothing(void) {}

void program(void)
{
    on(SVC, nothing);
    __asm__ volatile("sev\n\twfe"); note(1);
    __asm__ volatile("svc 0\n\twfe"); note(2);
    SCR = 1u << 4, ISPR = 2, barrier();
    __asm__ volatile("wfe"); note(3);
}
#endif

#ifdef sleeps_on_exit
/* The handler ends the sleep by clearing SLEEPONEXIT on its third tick. */
static void third(void)
{
    if (++ticks == 3) SCR = 0;
}

void program(void)
{
    on(SYS_TICK, third);
    STRVR = 20000, STCVR = 0, SCR = 2, STCSR = 7;
    __asm__ volatile("wfi");
    note(ticks);
    STCSR = 0;
}
#endif
