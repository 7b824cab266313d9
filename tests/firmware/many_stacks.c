/* SP goes to more stacks than emu follows: to the tops of blocks of 1 KB, one after the other. */

__attribute__((noipa)) static void visit(char *top)
{
    __asm__ volatile("mov r4, sp; mov sp, %0; push {r0, r1}; mov sp, r4" ::"r"(top) : "r4", "memory");
}

int main(void)
{
    for (char *top = (char *)0x24000400; top < (char *)0x24020000; top += 1024)
        visit(top);
    return 0;
}
