/* Ways never to end, or not soon, one for each value of STATE; the vectors follow the two of startup.c. */
#include <stdint.h>
#include <stdlib.h>

void emu_yield(void);

#define STATE_OF_A_RUN __attribute__((noinline, unused)) static void
#define CALL_DEPTH 40

#ifndef ROUNDS
#define ROUNDS 1u
#endif

static volatile uint32_t sink;

/* Ends, but not soon: after ROUNDS. */
STATE_OF_A_RUN works(void)
{
    for (uint32_t i = 0; i < ROUNDS; i++) sink++;
}

STATE_OF_A_RUN loops(void)
{
    for (;;) sink++;
}

STATE_OF_A_RUN prints(void)
{
    for (;;) *(volatile uint8_t *)0xE0000000u = 'x'; /* the ITM's first port */
}

/* Prints ROUNDS numbered lines of eight bytes. */
STATE_OF_A_RUN prints_lines(void)
{
    for (uint32_t line = 0; line < ROUNDS; line++) {
        for (int place = 24; place >= 0; place -= 4)
            *(volatile uint8_t *)0xE0000000u = (uint8_t)"0123456789abcdef"[line >> place & 0xfu];
        *(volatile uint8_t *)0xE0000000u = '\n';
    }
}

STATE_OF_A_RUN polls(void)
{
    while ((*(volatile uint32_t *)0x4000481Cu & 0x100u) == 0) continue; /* a modelled register */
}

STATE_OF_A_RUN prints_by_semihosting(void)
{
    for (;;) {
        register uint32_t operation __asm__("r0") = 4;
        register const char *text __asm__("r1") = "x";
        __asm__ volatile("bkpt #0xab" : "+r"(operation) : "r"(text) : "memory");
    }
}

STATE_OF_A_RUN changes_its_code(void)
{
    static volatile uint16_t code[2] __attribute__((aligned(4)));
    for (uint16_t n = 0;; n++) {
        code[0] = (uint16_t)(0x2000u | (n & 0xffu)); /* movs r0, #n */
        code[1] = 0x4770u;                           /* bx lr */
        ((void (*)(void))((uintptr_t)code | 1u))();
    }
}

STATE_OF_A_RUN waits(void)
{
    for (;;) __asm__ volatile("wfi");
}

STATE_OF_A_RUN allocates(void)
{
    for (;;) {
        void *volatile block = malloc(16);
        free(block);
    }
}

/* A call path is a word of bits: each bit chooses one of two calls. */
__attribute__((noinline)) static void *allocated_on_path(uint32_t path, int depth)
{
    void *volatile block;
    if (depth == 0)
        return malloc(8);
    if (path & 1u) {
        block = allocated_on_path(path >> 1, depth - 1);
    } else {
        block = allocated_on_path(path >> 1, depth - 1);
        __asm__ volatile("nop"); /* so that the compiler does not make one call of both */
    }
    return block;
}

STATE_OF_A_RUN allocates_on_ever_new_paths(void)
{
    for (uint32_t path = 0;; path++) free(allocated_on_path(path, CALL_DEPTH));
}

STATE_OF_A_RUN asks_for_ever_more(void)
{
    for (uint32_t size = 1u << 20;; size++) {
        void *volatile small = malloc(8); /* which fills the heap */
        void *volatile large = malloc(size);
        sink = small == large;
    }
}

static void sys_tick(void) { sink++; }

__attribute__((section(".isr_vector"), used)) static const uintptr_t more_vectors[14] = {
    [13] = (uintptr_t)sys_tick};

STATE_OF_A_RUN takes_exceptions(void)
{
    volatile uint32_t *sys_tick_registers = (volatile uint32_t *)0xE000E010u;
    sys_tick_registers[1] = 100;
    sys_tick_registers[2] = 0;
    sys_tick_registers[0] = 7;
    for (;;) sink++;
}

int main(void)
{
#ifndef AT_BOOT
    emu_yield();
#endif
    STATE();
    return 0;
}
