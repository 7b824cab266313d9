/* A function that lowers and raises SP in straight-line code: between two branches SP is deepest in the middle. */
#include <stdint.h>

__attribute__((naked, noinline)) static void there_and_back(void)
{
    __asm__ volatile("push.w {r4-r11, lr}\n"
                     "sub.w sp, sp, #512\n"
                     "strd r0, r1, [sp]\n"
                     "strd r0, r1, [sp, #8]\n"
                     "strd r0, r1, [sp, #16]\n"
                     "strd r0, r1, [sp, #24]\n"
                     "strd r0, r1, [sp, #32]\n"
                     "strd r0, r1, [sp, #40]\n"
                     "sub sp, sp, #64\n"
                     "add sp, sp, #64\n"
                     "add.w sp, sp, #512\n"
                     "pop.w {r4-r11, pc}\n");
}

int main(void)
{
    there_and_back();
    return 0;
}
