/* Prints a line through the board's UART, then ends. */
#include <stdint.h>

void emu_exit(int status);
__attribute__((noinline, noreturn)) void emu_exit(int status)
{
    for (;;) __asm__ volatile("" ::"r"(status));
}

int main(void)
{
    static const char text[] = "Hello from " BOARD "!\n";
    for (const char *next = text; *next; next++) *(volatile uint32_t *)UART_TRANSMIT = (uint32_t)(unsigned char)*next;
    emu_exit(0);
}
