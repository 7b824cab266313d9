/* Code in RAM that runs on from one 4 KB page into the next, in the middle of an instruction of 4 bytes. */
int crossing(int n);

int main(void) { return crossing(5) == 35 ? 0 : 1; }

__asm__(".syntax unified\n"
        ".section .itcm, \"ax\", %progbits\n.thumb\n.align 2\n"
        ".global crossing\n.type crossing, %function\n"
        "crossing:\n" /* at 0x400, where the linker script begins ITCM */
        "    push {r4, lr}\n"
        "    movs r1, #7\n"
        "    b.w 1f\n"
        "    .space 0xffe - 0x408, 0\n"
        "1:  mul r0, r0, r1\n" /* at 0xffe */
        "    pop {r4, pc}\n"
        ".size crossing, . - crossing\n"
        ".text\n");
