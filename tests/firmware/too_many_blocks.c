/* More blocks of code than the counters of QEMU's plugin have room for: each branch to the next instruction ends one. */
int main(void)
{
    __asm__ volatile(".rept 270000\n .hword 0xe7ff\n .endr");
    return 0;
}
