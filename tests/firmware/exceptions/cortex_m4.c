/* A Cortex-M4 differs from a Cortex-M7: STKALIGN can be switched off, and other registers identify the core. */
#include "suite.h"

#ifdef frames_without_alignment
static uint32_t frame_at;

HANDLER(supervisor)
{
    (void)exc_return;
    note((uint32_t)(uintptr_t)frame & 7), note(frame[7] >> 9 & 1), frame_at = (uint32_t)(uintptr_t)frame;
}

void program(void)
{
    uint32_t before, after;
    on(SVC, supervisor);
    CCR &= ~(1u << 9);
    barrier();
    __asm__ volatile("sub sp, #4\n\tmov %0, sp\n\tsvc 0\n\tmov %1, sp\n\tadd sp, #4" : "=&r"(before), "=r"(after)::"memory");
    note(before - frame_at), note(after - before), note(CCR);
}
#endif

#ifdef identity
void program(void)
{
    note(REGISTER(0xE000ED00u) >> 4), note(CCR), note(REGISTER(0xE000ED90u));
    for (uint32_t address = 0xE000ED40u; address < 0xE000ED74u; address += 4) note(REGISTER(address));
    note(REGISTER(0xE000EF40u)), note(REGISTER(0xE000EF44u));
}
#endif
