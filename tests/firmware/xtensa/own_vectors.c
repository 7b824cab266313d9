/* Exception vectors with a name that emu does not know; VECBASE points to them once the program runs. Then main runs DOES. */
#include <stdint.h>

void emu_exit(int status);

enum { SOFTWARE_INTERRUPT = 1 << 7 }; /* of level 1 */

extern char own_vectors[];
volatile int served;

/* The interrupt handler saves its registers on the stack of the interrupted function, and never leaves exception mode. */
__asm__(".section .text.own_vectors, \"ax\"\n"
        ".balign 1024\n"
        ".global own_vectors\n"
        "own_vectors:\n"
        ".org 0x340\n"
        "own_user_vector:\n"
        "    j own_handler\n"
        ".text\n"
        ".literal_position\n"
        ".align 4\n"
        ".type own_handler, @function\n"
        "own_handler:\n"
        "    addi a1, a1, -128\n"
        "    s32i a2, a1, 0\n"
        "    s32i a3, a1, 4\n"
        "    rsr.exccause a2\n"
        "1:  bnei a2, 4, 1b\n" /* other exceptions end here */
        "    rsr.interrupt a2\n"
        "    wsr.intclear a2\n"
        "    movi a3, served\n"
        "    l32i a2, a3, 0\n"
        "    addi a2, a2, 1\n"
        "    s32i a2, a3, 0\n"
        "    l32i a2, a1, 0\n"
        "    l32i a3, a1, 4\n"
        "    addi a1, a1, 64\n"
        "    addi a1, a1, 64\n"
        "    rfe\n"
        ".size own_handler, . - own_handler\n");

__attribute__((noinline, unused)) static void interrupt_itself(void)
{
    int old;
    __asm__ volatile("wsr.intenable %1\n\trsync\n\trsil %0, 0" : "=&a"(old) : "a"(SOFTWARE_INTERRUPT));
    for (int i = 0; i < 10; i++) __asm__ volatile("wsr.intset %0\n\trsync\n\tnop\n\tnop" ::"a"(SOFTWARE_INTERRUPT));
    emu_exit(served);
}

__attribute__((noinline, unused)) static void null_pointer_write(void)
{
    volatile uint32_t *volatile nothing = 0;
    nothing[3] = 1;
}

__attribute__((noinline, unused)) static int deep(int depth) { return depth == 0 ? 0 : deep(depth - 1) + 1; }

int main(void)
{
    __asm__ volatile("wsr.vecbase %0\n\tisync" ::"a"(VECTORS));
    DOES;
    return 0;
}
