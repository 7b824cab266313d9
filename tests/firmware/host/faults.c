/* One fault for each value of FAULT, on the line marked with its name. */
#include "mailbox.h"

#include <assert.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

int emu_harness_socket(void); /* runtime/port/host/harness.c */

#define CULPRIT __attribute__((noinline)) static void

struct emu_mailbox emu_mailbox __attribute__((section(".mailbox")));
static float input[4] __attribute__((section(".mailbox")));
static volatile int ten = 10, zero, sink;
static int table[10];

CULPRIT nothing(void)
{
    int *const block = malloc(10 * sizeof *block);
    block[ten - 1] = 1;
    sink = block[9] + table[ten - 1];
    free(block);
}

CULPRIT heap_read(void)
{
    const int *volatile block = malloc(10 * sizeof *block);
    sink = block[ten]; /* heap_read */
}

CULPRIT heap_write(void)
{
    char *volatile block = malloc(10);
    memset(block, 0, (size_t)ten + 10); /* heap_write */
}

CULPRIT overlapping_copy(void)
{
    char *volatile block = calloc(32, 1);
    memcpy(block + 4, block, (size_t)ten); /* overlapping_copy */
}

CULPRIT use_after_free(void)
{
    int *volatile block = malloc(10 * sizeof *block);
    free(block);
    sink = block[1]; /* use_after_free */
}

CULPRIT double_free(void)
{
    void *volatile block = malloc(3);
    free(block);
    free(block); /* double_free */
}

CULPRIT invalid_free(void)
{
    char *volatile block = malloc(3);
    free(block + 1); /* invalid_free */
}

CULPRIT stack_write(void)
{
    volatile int locals[10];
    volatile int *volatile last = locals;
    last[ten] = 1; /* stack_write */
}

CULPRIT global_read(void)
{
    const int *volatile first = table;
    sink = first[ten]; /* global_read */
}

CULPRIT mailbox_read(void)
{
    const float *volatile first = input;
    sink = first[ten - 6] > 0; /* mailbox_read */
}

CULPRIT null_read(void)
{
    int *volatile pointer = NULL;
    sink = *pointer; /* null_read */
}

CULPRIT null_write(void)
{
    int *volatile pointer = NULL;
    *pointer = 1; /* null_write */
}

CULPRIT unmapped_read(void)
{
    volatile int *volatile pointer = (volatile int *)(uintptr_t)0x12345678;
    sink = *pointer; /* unmapped_read */
}

CULPRIT impossible_read(void)
{
    const int *volatile nowhere = (const int *)(uintptr_t)0xDEAD0000DEAD0000;
    sink = *nowhere; /* impossible_read */
}

CULPRIT unaligned_read(void)
{
    const int *volatile record = (const int *)(const void *)((const char *)table + 1);
    sink = *record; /* unaligned_read */
}

CULPRIT signed_overflow(void)
{
    sink = 0x7fffffff - 5 + ten; /* signed_overflow */
}

CULPRIT division_by_zero(void)
{
    sink = ten / zero; /* division_by_zero */
}

CULPRIT shift(void)
{
    sink = 1 << (ten + 30); /* shift */
}

CULPRIT float_to_int(void)
{
    sink = (int)((float)ten * 1e20f); /* float_to_int */
}

CULPRIT aborts(void)
{
    printf("before the end, ");
    fprintf(stderr, "without a new line");
    abort(); /* aborts */
}

CULPRIT asserts(void)
{
    assert(ten == 11); /* asserts */
}

CULPRIT traps(void)
{
    __builtin_trap(); /* traps */
}

CULPRIT breaks(void)
{
    sink = raise(SIGTRAP); /* breaks */
}

CULPRIT endless_loop(void)
{
    while (!zero) continue; /* endless_loop */
}

static int deeper(int depth)
{
    volatile char frame[4096];
    frame[depth % 4096] = 1;
    return deeper(depth + 1) + frame[1]; /* stack_overflow */
}

CULPRIT stack_overflow(void) { sink = deeper(ten); }

CULPRIT jumps_away(void) { ((void (*)(void))(uintptr_t)(zero + 0x1000))(); }

CULPRIT exits(void) { exit(7); }

CULPRIT signals_itself(void) { raise(SIGRTMIN + 1); }

CULPRIT yields_for_ever(void)
{
    signal(SIGABRT, SIG_IGN);
    while (!zero) write(emu_harness_socket(), "", 1);
}

CULPRIT dies(void) { _exit(0); }

CULPRIT allocates_for_ever(void)
{
    for (;;) memset(malloc(1 << 20), 1, 1 << 20);
}

CULPRIT prints_for_ever(void)
{
    for (;;) puts("over and over again");
}

/* An innocent reader would wait for the child, which holds everything that this process has open. */
CULPRIT leaves_a_child(void)
{
    if (fork() == 0) for (;;) sleep(1);
    exit(3);
}

CULPRIT closes_everything(void)
{
    for (int file = 0; file < 256; file++) close(file);
    while (!zero) continue;
}

CULPRIT sleeps_for_ever(void)
{
    while (!zero) pause();
}

CULPRIT works_for_a_second(void)
{
    while (clock() < CLOCKS_PER_SEC) sink++;
}

int main(void)
{
    emu_mailbox.magic = EMU_MAILBOX_MAGIC;
    emu_mailbox.version = EMU_MAILBOX_VERSION;
    emu_mailbox.columns = 1;
    emu_mailbox.outputs = 1;
    emu_mailbox.input_address = (uint32_t)(uintptr_t)input;
    emu_mailbox.input_floats = 4;
    emu_mailbox.output_address = (uint32_t)(uintptr_t)input;
    emu_yield();
    FAULT;
    return 0;
}
