/* With -Wl,--wrap=main: enables the FPU before main, as startup code has to on a real core. */
#include <stdint.h>

int __real_main(void);
int __wrap_main(void);

int __wrap_main(void)
{
    *(volatile uint32_t *)0xE000ED88u |= 0xFu << 20; /* CPACR */
    __asm__ volatile("dsb\n\tisb" ::: "memory");
    return __real_main();
}
