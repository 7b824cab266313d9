/* Code in RAM that is overwritten after it has run, by code of equal size with more instructions. */
#include <stdint.h>

extern uint16_t loaded[];
int from_ram(int n);

int main(void)
{
    const int result = from_ram(6);
    for (int i = 0; i < 3; i++) loaded[i] = 0xbf00; /* NOP */
    return result == 36 ? 0 : 1;
}

__asm__(".syntax unified\n"
        ".section .itcm, \"ax\", %progbits\n.thumb\n.align 2\n"
        ".global from_ram\n.type from_ram, %function\n"
        "from_ram:\n"
        ".global loaded\nloaded:\n"
        "    mul r0, r0, r0\n"
        "    bx lr\n"
        ".size from_ram, . - from_ram\n"
        ".text\n");
