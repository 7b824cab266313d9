/* Code at address 0. What --gc-sections discards leaves its line tables and unwind information at 0 as well. */
__attribute__((noipa)) static void use(volatile char *bytes) { bytes[0] = 1; }

int discarded(volatile int *);
int discarded(volatile int *to)
{
    volatile char bytes[256];
    use(bytes);
    return *to = 1; /* discarded */
}

__attribute__((section(".itcm"), noipa, long_call)) static int at_zero(int n)
{
    volatile char bytes[100];
    bytes[0] = (char)n; /* at_zero */
    return n ? at_zero(n - 1) + bytes[0] : 0;
}

int main(void) { return at_zero(5) * 0; }
