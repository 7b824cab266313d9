/* Calls without end: one function that calls itself, or three that call each other in turn. */
void _exit(int status);

__attribute__((noinline, unused)) static int deeper(int depth)
{
    volatile int local = depth;
    return depth < 0 ? 0 : deeper(depth + 1) + local;
}

static int rock(int depth), paper(int depth);

__attribute__((noinline, unused)) static int scissors(int depth)
{
    volatile int local = depth;
    return depth < 0 ? 0 : rock(depth + 1) + local;
}

__attribute__((noinline, unused)) static int paper(int depth)
{
    volatile int local = depth;
    return depth < 0 ? 0 : scissors(depth + 1) + local;
}

__attribute__((noinline, unused)) static int rock(int depth)
{
    volatile int local = depth;
    return depth < 0 ? 0 : paper(depth + 1) + local;
}

int main(void) { return CALL(1); }
