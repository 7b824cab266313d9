/* What a Cortex-M7 refuses, and some emulators do not: RUNS does one of it. */
#include <stdint.h>

static uint32_t words[8] __attribute__((aligned(8)));
static char *const volatile even = (char *)words, *const volatile odd = (char *)words + 1;

__attribute__((noipa, unused)) static void load_two(const char *at)
{
    __asm__ volatile("ldrd r2, r3, [%0]" ::"r"(at) : "r2", "r3");
}

__attribute__((noipa, unused)) static void load_many(const char *at)
{
    __asm__ volatile("ldmia %0, {r2, r3}" ::"r"(at) : "r2", "r3");
}

__attribute__((noipa, unused)) static void load_float(const char *at)
{
    __asm__ volatile("vldr s0, [%0]" ::"r"(at) : "s0");
}

__attribute__((noipa, unused)) static void store_to_peripheral(void)
{
    *(volatile uint32_t *)0x40011023u = 1; /* within the registers of USART1 */
}

int main(void)
{
#ifdef ENABLE_FPU
    *(volatile uint32_t *)0xE000ED88u |= 0xFu << 20; /* CPACR */
    __asm__ volatile("dsb\n\tisb" ::: "memory");
#endif
    RUNS;
    return 0;
}
