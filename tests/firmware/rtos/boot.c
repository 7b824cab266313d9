/* Reset, the vectors, a heap for newlib, and output at USART1. */
#include <errno.h>

#include "rtos.h"

extern uint32_t _estack[], _data_start[], _data_end[], _data_load[], _bss_start[], _bss_end[];
extern char _heap_start[], _heap_end[];
int main(void);
void reset_handler(void), sv_call(void), pend_sv(void), sys_tick(void);
void interrupt_0(void), interrupt_1(void), interrupt_2(void);

__attribute__((section(".isr_vector"), used)) static const uintptr_t vectors[FIRST_INTERRUPT + 3] = {
    (uintptr_t)_estack, (uintptr_t)reset_handler, [11] = (uintptr_t)sv_call, [14] = (uintptr_t)pend_sv,
    (uintptr_t)sys_tick, (uintptr_t)interrupt_0, (uintptr_t)interrupt_1, (uintptr_t)interrupt_2};

__attribute__((noinline, noreturn)) void _exit(int status)
{
    for (;;) __asm__ volatile("" ::"r"(status));
}

void reset_handler(void)
{
    *(volatile uint32_t *)0xE000ED88 |= 0xfu << 20; /* CPACR: the FPU */
    __asm__ volatile("dsb\n isb");
    const uint32_t *from = _data_load;
    for (uint32_t *to = _data_start; to < _data_end;) *to++ = *from++;
    for (uint32_t *to = _bss_start; to < _bss_end; to++) *to = 0;
    _exit(main());
}

void enable_interrupt(uint32_t number, uint32_t priority)
{
    ((volatile uint8_t *)0xE000E400)[number] = (uint8_t)priority;
    ((volatile uint32_t *)0xE000E100)[0] = 1u << number;
}

void raise_interrupt(uint32_t number)
{
    ((volatile uint32_t *)0xE000E200)[0] = 1u << number;
    __asm__ volatile("dsb\n isb");
}

void print(const char *text)
{
    while (*text) *(volatile uint32_t *)0x40011028 = (uint8_t)*text++;
}

void print_number(uint32_t number)
{
    char digits[11], *at = digits + 10;
    *at = 0;
    do *--at = (char)('0' + number % 10);
    while (number /= 10);
    print(at);
}

void *_sbrk(int bytes)
{
    static char *end = _heap_start;
    if (bytes > _heap_end - end) {
        errno = ENOMEM;
        return (void *)-1;
    }
    end += bytes;
    return end - bytes;
}

/* newlib takes this lock around malloc and free. */
static uint32_t heap_lock, heap_depth;
struct _reent;
void __malloc_lock(struct _reent *reent);
void __malloc_unlock(struct _reent *reent);

void __malloc_lock(struct _reent *reent)
{
    uint32_t state = lock();
    (void)reent;
    if (heap_depth++ == 0) heap_lock = state;
}

void __malloc_unlock(struct _reent *reent)
{
    (void)reent;
    if (--heap_depth == 0) unlock(heap_lock);
}
