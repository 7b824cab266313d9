/* The main loop sleeps until an interrupt sets a flag; the interrupt was never enabled. */
#include <stdint.h>

static volatile uint32_t events, enabled;

__attribute__((noipa)) static void tick(void) { events |= enabled; }

__attribute__((noipa)) static void enable_tick(void)
{
#ifndef FAULT
    enabled = 1;
#endif
}

__attribute__((noipa)) static void wait_for_event(void)
{
    while (!events)
        __asm__ volatile("wfi"); /* FAULT: wait_for_interrupt */
    events = 0;
}

int main(void)
{
    enable_tick();
    for (int i = 0; i < 3; i++) {
        tick();
        wait_for_event();
    }
    return 0;
}
