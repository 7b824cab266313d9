/* A mailbox whose outputs are the sum and the sum of squares of all inputs since the start; FAULT fails in the second
 * row; marks name the lines that the tests look for. */
#include "../../runtime/port/mailbox.h"

enum { NOTHING, READ_NOTHING, WRITE_FLASH, RETURN, LOOP, SPIN, OVERFLOW, CLEAR, JUMP };
#ifndef FAULT
#define FAULT NOTHING
#endif

void emu_yield(void);

struct emu_mailbox emu_mailbox __attribute__((section(".mailbox")));
static float input[4 * 3] __attribute__((section(".mailbox")));
static float output[2] __attribute__((section(".mailbox")));
static float sums[2];
const uint32_t constant = 7;
static uint32_t *volatile nothing = (uint32_t *)0x90000000u;

static void go_wrong(void)
{
    if (FAULT == READ_NOTHING) sums[0] += (float)*(volatile uint32_t *)nothing; /* reads nothing */
    if (FAULT == WRITE_FLASH) *(volatile uint32_t *)(uintptr_t)&constant = 8;
    if (FAULT == JUMP) ((void (*)(void))(uintptr_t)0x90000001u)();
    while (FAULT == LOOP) __asm__ volatile(""); /* loops */
    while (FAULT == SPIN) __asm__ volatile("nop"); /* spins */
    if (FAULT == OVERFLOW) sums[0] += (float)*(volatile char *)__builtin_memset((char *)0x20000000u - 64, 1, 4); /* overflows */
    if (FAULT == CLEAR)
        for (volatile char *at = (char *)0x2001F000u; at < (volatile char *)__builtin_frame_address(0) - 512; at++) *at = 0;
}

static void step(const float *row)
{
    volatile float frame[16];
    for (int i = 0; i < 3; i++) frame[i] = row[i];
    for (int i = 0; i < 3; i++) {
        sums[0] += frame[i];
        sums[1] += frame[i] * frame[i];
    }
}

int main(void)
{
    emu_mailbox.magic = EMU_MAILBOX_MAGIC;
    emu_mailbox.version = EMU_MAILBOX_VERSION;
    emu_mailbox.command = emu_mailbox.rows = emu_mailbox.status = 0;
    emu_mailbox.columns = 3;
    emu_mailbox.outputs = 2;
    emu_mailbox.input_address = (uint32_t)(uintptr_t)input;
    emu_mailbox.input_floats = 4 * 3;
    emu_mailbox.output_address = (uint32_t)(uintptr_t)output;
    emu_mailbox.trace_address = emu_mailbox.trace_floats = 0;
    for (;;) {
        emu_yield();
        if (FAULT == RETURN) return 3;
        if (emu_mailbox.command & EMU_COMMAND_START) sums[0] = sums[1] = 0;
        for (uint32_t row = 0; row < emu_mailbox.rows; row++) {
            if (row == 1) go_wrong();
            step(input + 3 * row);
        }
        if (emu_mailbox.command & EMU_COMMAND_FINISH) {
            output[0] = sums[0];
            output[1] = sums[1];
        }
    }
}
