/* Prints what GitHub's runner takes for commands, branches on an uninitialised value, writes to unmapped memory. */
static volatile int decisions;

__attribute__((noipa)) static void print(const char *text)
{
    register int operation __asm__("r0") = 4; /* SYS_WRITE0 */
    register const char *parameter __asm__("r1") = text;
    __asm__ volatile("bkpt #0xab" : "+r"(operation) : "r"(parameter) : "memory");
}

__attribute__((noipa)) static void keep(volatile int *value) { (void)value; }

__attribute__((noipa)) static void decide(void)
{
    volatile int value;
    keep(&value);
    if (value == 3) decisions++; /* uninitialised branch */
}

__attribute__((noipa)) static void store(volatile int *address)
{
    *address = 1; /* unmapped write */
}

int main(void)
{
    print("\n::error::planted by the firmware\n::add-mask::e\n");
    decide();
    store((volatile int *)0x60000000);
    return 0;
}
