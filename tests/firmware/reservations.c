/* A mailbox, bss, and a section that only reserves room for the stack, as vendors' linker scripts do. */
#include <stdint.h>

__attribute__((section(".mailbox"))) uint8_t mailbox[1000];
uint8_t zeros[300];
__asm__(".section .stack, \"aw\", %nobits\n.space 2048\n.text\n");

int main(void) { return zeros[299] + mailbox[0]; }
