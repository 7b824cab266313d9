/* Reset, a vector table in RAM, and output by semihosting. */
#include "suite.h"

extern uint32_t _estack[], _bss_start[], _bss_end[];

static uint32_t words[256], count;
static uint32_t table[64] __attribute__((aligned(256)));

static uint32_t call_host(uint32_t operation, const void *argument)
{
    register uint32_t r0 __asm__("r0") = operation;
    register const void *r1 __asm__("r1") = argument;
    __asm__ volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
    return r0;
}

void note(uint32_t word)
{
    if (count < 256) words[count++] = word;
}

void finish(void)
{
    static char text[256 * 9 + 2];
    char *at = text;
    for (uint32_t i = 0; i < count; i++) {
        for (int shift = 28; shift >= 0; shift -= 4) *at++ = "0123456789abcdef"[words[i] >> shift & 15];
        *at++ = ' ';
    }
    *at++ = '\n';
    call_host(4, text);                        /* SYS_WRITE0 */
    call_host(0x18, (const void *)0x20026u);   /* SYS_EXIT: ADP_Stopped_ApplicationExit */
    for (;;) __asm__ volatile("");
}

void on(uint32_t exception, handler *handler)
{
    table[exception] = (uint32_t)(uintptr_t)handler;
    __asm__ volatile("dsb" ::: "memory");
}

int main(void)
{
    program();
    finish();
}

/* A fault that the program does not expect. */
static void unexpected(void)
{
    note(0xbadu);
    note(READ_SPECIAL(ipsr));
    note(CFSR);
    note(HFSR);
    finish();
}

__attribute__((noreturn)) void reset_handler(void)
{
    for (uint32_t *at = _bss_start; at < _bss_end; at++) *at = 0;
    for (uint32_t i = 2; i < 64; i++) table[i] = (uint32_t)(uintptr_t)unexpected;
    VTOR = (uint32_t)(uintptr_t)table;
    CPACR = 0xFu << 20;
    barrier();
    main();
    finish();
}

__attribute__((section(".isr_vector"), used)) static const uintptr_t vectors[16] = {
    (uintptr_t)_estack,    (uintptr_t)reset_handler, (uintptr_t)unexpected, (uintptr_t)unexpected,
    (uintptr_t)unexpected, (uintptr_t)unexpected,    (uintptr_t)unexpected,
};
