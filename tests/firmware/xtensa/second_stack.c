/* Moves to a stack that is an array, and uses more of it than there is: BYTES in one frame. */
#include <stdint.h>

void emu_exit(int status);

__attribute__((aligned(16), used)) static char task_stack[2048];
static volatile char *kept;

__attribute__((noinline)) static void grow(unsigned bytes)
{
    kept = __builtin_alloca(bytes);
    kept[0] = 1; /* grow */
}

__attribute__((noinline, used)) static void task(void)
{
    grow(BYTES);
    emu_exit(0);
}

int main(void)
{
    __asm__ volatile("mov a1, %0\n\tcallx8 %1" ::"r"(task_stack + sizeof task_stack), "r"(task) : "memory");
    return 0;
}
