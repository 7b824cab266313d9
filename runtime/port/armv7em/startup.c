/* Reset and vectors for Armv7E-M (Cortex-M4, Cortex-M7): Armv7-M Architecture Reference Manual, DDI 0403E, B1.5. */
#include <stdint.h>

extern uint32_t __stack_top[], __data_start[], __data_end[], __data_load[], __bss_start[], __bss_end[]; /* linker script */

int main(void);
void reset_handler(void);

/* An exception that the firmware does not expect ends here, where a debugger or the harness finds it. */
void unexpected_exception(void);
void unexpected_exception(void)
{
    for (;;) __asm__ volatile("");
}

__attribute__((section(".vectors"), used)) static const uintptr_t vectors[16] = {
    (uintptr_t)__stack_top,          (uintptr_t)reset_handler,        (uintptr_t)unexpected_exception,
    (uintptr_t)unexpected_exception, (uintptr_t)unexpected_exception, (uintptr_t)unexpected_exception,
    (uintptr_t)unexpected_exception, 0, 0, 0, 0,
    (uintptr_t)unexpected_exception, (uintptr_t)unexpected_exception, 0,
    (uintptr_t)unexpected_exception, (uintptr_t)unexpected_exception,
};

void reset_handler(void)
{
    /* Full access to the FPU (CP10 and CP11) before any compiled code may use it. */
    volatile uint32_t *const coprocessor_access = (volatile uint32_t *)0xE000ED88u;
    *coprocessor_access |= 0xFu << 20;
    __asm__ volatile("dsb\n\tisb" ::: "memory");
    const uint32_t *from = __data_load;
    for (uint32_t *to = __data_start; to < __data_end;) *to++ = *from++;
    for (uint32_t *to = __bss_start; to < __bss_end;) *to++ = 0;
    main();
    for (;;) __asm__ volatile("");
}
