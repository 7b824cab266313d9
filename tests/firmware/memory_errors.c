/* Memory errors, each in a function of its own; RUNS calls one or several. Marks name the faulty lines. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifndef RUNS
#define RUNS allowed()
#endif
#ifndef SECTION
#define SECTION ".noinit" /* startup code clears neither this section nor .mailbox */
#endif

static volatile int sink;
__attribute__((section(SECTION), used)) static volatile uint32_t forgotten;
__attribute__((section(SECTION), used)) static volatile uint32_t kept_magic, kept_boots;

__attribute__((noipa)) static void keep(const volatile void *memory) { __asm__ volatile("" ::"r"(memory) : "memory"); }

__attribute__((noipa, unused)) static void allowed(void)
{
    char *block = malloc(16);
    strcpy(block, "fifteen letters");
    sink = block[3];
    free(block);
}

__attribute__((noipa, unused)) static void copies_too_much(char *to, const char *from)
{
    memcpy(to, from, 32); /* memcpy */
    sink = 1;
}

__attribute__((noipa, unused)) static void copies_a_long_text(char *to, const char *from)
{
    strcpy(to, from); /* strcpy */
    sink = 1;
}

__attribute__((noipa, unused)) static void prints_too_much(char *to, const char *from)
{
    sprintf(to, "%s", from); /* sprintf */
    sink = 1;
}

/* Too much for its block, which another block follows. */
__attribute__((noipa, unused)) static void overruns(void (*write)(char *to, const char *from))
{
    char *block = malloc(24); /* block */
    char *behind = malloc(64);
    write(block, "a text that has thirty-one bytes");
    keep(block), keep(behind);
}

__attribute__((noipa, unused)) static void many_times(int times)
{
    volatile uint32_t *words = malloc(8);
    for (int i = 0; i < times; i++)
        words[2] = 1; /* many_times */
}

__attribute__((noipa)) static void decide(const volatile uint32_t *value)
{
    uint32_t loaded = *value; /* load */
    if (loaded == 3) sink++; /* decide */
}

__attribute__((noipa, unused)) static void local_decides(void)
{
    volatile uint32_t values[8];
    keep(values);
    decide(values + 2);
}

__attribute__((noipa)) static uint32_t *get(void)
{
    return malloc(40); /* get */
}

__attribute__((noipa, unused)) static void block_decides(void) { decide(get() + 3); }

__attribute__((noipa, unused)) static void variable_decides(void) { decide(&forgotten); }

/* A counter of boots in RAM that a reset keeps. A magic word says whether the counter is valid. */
__attribute__((noipa, unused)) static void counts_boots(void)
{
    if (kept_magic != 0x600DB007u) { /* magic */
        kept_magic = 0x600DB007u;
        kept_boots = 0;
    }
    kept_boots++;
    if (kept_boots > 3) sink = 1;
}

/* The same counter without its magic word. */
__attribute__((noipa, unused)) static void counts_boots_of_any_number(void)
{
    kept_boots++;
    if (kept_boots > 3) sink = 1; /* boots */
}

static char shifted[32] = "0123456789abcdef";
static volatile size_t twelve = 12, four = 4, none = 0;

__attribute__((noipa, unused)) static void shifts_by(size_t bytes)
{
    memcpy(shifted + bytes, shifted, twelve); /* overlap */
    sink = 1;
}

__attribute__((noipa, unused)) static void shifts_back_by(size_t bytes)
{
    memcpy(shifted, shifted + bytes, twelve); /* back */
    sink = 1;
}

__attribute__((noipa, unused)) static void moves(void)
{
    memmove(shifted + four, shifted, twelve);
    sink = 1;
}

int main(void)
{
    RUNS;
    return 0;
}
