/* Switches on an oscillator, waits for it, and prints through a UART; the test names the board's registers. */
#include <stdint.h>

#define REGISTER(address) (*(volatile uint32_t *)(address))

extern uint32_t __stack_top[], __data_start[], __data_end[], __data_load[], __bss_start[], __bss_end[];

int main(void);
void reset_handler(void);

__attribute__((section(".vectors"), used)) static void (*const vectors[16])(void) = {
    (void (*)(void))__stack_top, reset_handler};

static char text[] = "booted\n"; /* in .data */
static uint32_t zero;            /* in .bss */

void reset_handler(void)
{
    for (uint32_t *to = __data_start, *from = __data_load; to < __data_end;) *to++ = *from++;
    for (uint32_t *to = __bss_start; to < __bss_end;) *to++ = 0;
    main();
    for (;;) {
    }
}

__attribute__((noipa)) int main(void)
{
    REGISTER(CLOCK) |= ON;
    while (!(REGISTER(READY_AT) & READY)) {
    }
    for (const char *at = text + zero; *at; at++) {
        while (!(REGISTER(STATUS) & SENT)) {
        }
        REGISTER(DATA) = (uint8_t)*at;
    }
    return 0;
}
