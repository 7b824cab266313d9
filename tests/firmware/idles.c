/* Does MAIN, and returns from main to an endless loop. */
#include <stdint.h>

#define REGISTER(address) (*(volatile uint32_t *)(address))

int main(void);
void reset_handler(void);

__attribute__((noinline)) static void hangs(void)
{
    for (;;) {
    }
}

__attribute__((noinline)) static void polls(void)
{
    while (!(REGISTER(0x4000481Cu) & 1u << 5)) {
    }
}

__attribute__((noinline)) static void polled_once(void)
{
    for (int i = 0; i < 1000; i++) (void)REGISTER(0x4000481Cu);
    for (volatile int i = 0;; i++) {
    }
}

__attribute__((noinline)) static void sleeps(void)
{
    for (;;) __asm__ volatile("wfi");
}

static void systick(uint32_t control)
{
    REGISTER(0xE000E014u) = 1000;
    REGISTER(0xE000E018u) = 0;
    REGISTER(0xE000E010u) = control;
}

static volatile uint32_t ticks;

/* The third tick is the last. */
static void tick(void)
{
    if (++ticks == 3) REGISTER(0xE000E010u) = 0;
}

__attribute__((section(".isr_vector"), used)) void (*const vectors[16])(void) = {
    (void (*)(void))0x20020000, reset_handler, [15] = tick};

void reset_handler(void)
{
    ticks = 0;
    main();
    for (;;) {
    }
}

__attribute__((noipa)) int main(void)
{
    (void)hangs, (void)polls, (void)polled_once, (void)sleeps, (void)systick;
    MAIN;
    return 3;
}
