/* The FPU's registers in frames (DDI 0403E, B1.5.7). */
#include "suite.h"

#define FLOATS_AT 8  /* words from the frame's start */
#define FPSCR_AT 24

static void fill(void)
{
    __asm__ volatile("vmov.f32 s0, #1.0\n\tvmov.f32 s1, #2.0\n\tvmov.f32 s15, #3.0\n\tvmov.f32 s16, #4.0" ::
                         : "s0", "s1", "s15", "s16");
}

static uint32_t single(int which)
{
    uint32_t value = 0;
    if (which == 0) __asm__ volatile("vmov %0, s0" : "=r"(value));
    if (which == 1) __asm__ volatile("vmov %0, s1" : "=r"(value));
    if (which == 15) __asm__ volatile("vmov %0, s15" : "=r"(value));
    if (which == 16) __asm__ volatile("vmov %0, s16" : "=r"(value));
    return value;
}

static void spoil(void) { __asm__ volatile("vmov.f32 s0, #9.0\n\tvmov.f32 s15, #9.0" ::: "s0", "s15"); }

__attribute__((unused)) static void note_floats(void)
{
    note(single(0)), note(single(1)), note(single(15)), note(single(16));
}

/* Give the memory below SP a value that shows whether it is written. */
__attribute__((unused, noinline)) static void paint(void)
{
    volatile uint32_t below[64];
    for (int i = 0; i < 64; i++) below[i] = 0xAAAAAAAAu;
    (void)below[0];
}

#ifdef context_becomes_active
void program(void)
{
    note(READ_SPECIAL(control) & 4);
    fill();
    note(READ_SPECIAL(control) & 4);
}
#endif

#ifdef lazy_and_unused
HANDLER(supervisor)
{
    note(exc_return), note(FPCCR & (1 | LSPEN | ASPEN)), note(FPCAR - (uint32_t)(uintptr_t)frame);
    note(frame[FLOATS_AT]), note(frame[FPSCR_AT]), note(READ_SPECIAL(control) & 4);
}

void program(void)
{
    on(SVC, supervisor);
    paint();
    fill();
    __asm__ volatile("svc 0" ::: "memory");
    note_floats(), note(FPCCR & 1), note(READ_SPECIAL(control) & 4);
}
#endif

#ifdef lazy_and_used
HANDLER(supervisor)
{
    (void)exc_return;
    note(FPCCR & 1), note(frame[FLOATS_AT]);
    spoil();
    note(FPCCR & 1), note(READ_SPECIAL(control) & 4);
    note(frame[FLOATS_AT]), note(frame[FLOATS_AT + 1]), note(frame[FLOATS_AT + 15]), note(frame[FPSCR_AT]);
}

void program(void)
{
    on(SVC, supervisor);
    paint();
    fill();
    __asm__ volatile("vmsr fpscr, %0" ::"r"(0x40000000u));
    __asm__ volatile("svc 0" ::: "memory");
    note_floats();
    uint32_t status;
    __asm__ volatile("vmrs %0, fpscr" : "=r"(status));
    note(status), note(FPCCR & 1);
}
#endif

#ifdef at_once
HANDLER(supervisor)
{
    note(exc_return), note(FPCCR & 1), note(frame[FLOATS_AT]), note(frame[FLOATS_AT + 15]);
    spoil();
}

void program(void)
{
    on(SVC, supervisor);
    FPCCR = ASPEN;
    barrier();
    fill();
    __asm__ volatile("svc 0" ::: "memory");
    note_floats(), note(READ_SPECIAL(control) & 4);
}
#endif

#ifdef never_saved
HANDLER(supervisor)
{
    (void)frame;
    note(exc_return), note(READ_SPECIAL(control) & 4);
    spoil();
}

void program(void)
{
    on(SVC, supervisor);
    FPCCR = 0;
    barrier();
    fill();
    note(READ_SPECIAL(control) & 4);
    __asm__ volatile("svc 0" ::: "memory");
    note_floats();
}
#endif

#ifdef nested_handlers
HANDLER(inner)
{
    (void)frame;
    note(exc_return), note(FPCCR & 1);
    spoil();
}

HANDLER(outer)
{
    (void)frame;
    note(exc_return);
    __asm__ volatile("vmov.f32 s0, #5.0\n\tvmov.f32 s15, #6.0" ::: "s0", "s15");
    pend(1);
    note(single(0)), note(single(15));
}

void program(void)
{
    on(INTERRUPT, outer), on(INTERRUPT + 1, inner);
    IPR(0) = 0x40, IPR(1) = 0x20, ISER = 3;
    fill();
    pend(0);
    note_floats();
}
#endif

#ifdef nested_and_lazy
/* The outer handler uses no floats, the inner one does: the outer's reserved place is filled. */
HANDLER(inner)
{
    (void)frame;
    note(exc_return), note(FPCCR & 1);
    spoil();
    note(FPCCR & 1);
}

HANDLER(outer)
{
    note(exc_return), note(FPCCR & 1);
    pend(1);
    note(FPCCR & 1), note(frame[FLOATS_AT]);
}

void program(void)
{
    on(INTERRUPT, outer), on(INTERRUPT + 1, inner);
    IPR(0) = 0x40, IPR(1) = 0x20, ISER = 3;
    fill();
    pend(0);
    note_floats();
}
#endif

#ifdef default_status
HANDLER(supervisor)
{
    uint32_t status;
    (void)frame, (void)exc_return;
    __asm__ volatile("vmrs %0, fpscr" : "=r"(status));
    note(status);
}

void program(void)
{
    uint32_t status;
    on(SVC, supervisor);
    FPDSCR = 1u << 24; /* flush to zero */
    barrier();
    fill();
    __asm__ volatile("vmsr fpscr, %0" ::"r"(0x80000000u));
    __asm__ volatile("svc 0" ::: "memory");
    __asm__ volatile("vmrs %0, fpscr" : "=r"(status));
    note(status);
}
#endif

#ifdef alignment_with_floats
HANDLER(supervisor)
{
    note(exc_return), note((uint32_t)(uintptr_t)frame & 7), note(frame[7] >> 9 & 1);
}

void program(void)
{
    uint32_t before, after;
    on(SVC, supervisor);
    fill();
    __asm__ volatile("sub sp, #4\n\tmov %0, sp\n\tsvc 0\n\tmov %1, sp\n\tadd sp, #4" : "=&r"(before), "=r"(after)::"memory");
    note(after - before), note_floats();
}
#endif
