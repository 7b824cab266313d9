/* The modelled registers of a board's peripherals, as the board file describes them (emu/peripherals.py): one model for
 * all emulators. */
#ifndef EMU_PERIPHERALS_H
#define EMU_PERIPHERALS_H

#include <stdbool.h>
#include <stdint.h>

enum { OUTPUT_KEPT = 1 << 20 };

/* What the firmware has printed; emu/native/__init__.py mirrors the structure. */
struct output {
    uint64_t printed;             /* bytes so far */
    uint8_t bytes[OUTPUT_KEPT];   /* the last of them: byte i is at i % OUTPUT_KEPT */
    uint8_t sources[OUTPUT_KEPT]; /* the number of the peripheral that printed the byte */
};

/* The last read of a register; emu/native/__init__.py mirrors the structure. */
struct poll {
    uint64_t count; /* reads of the same value, one after the other */
    uint64_t at;    /* instructions at the last of them */
    uint32_t address, value;
};

/* Bits of the 32 bits from byte `offset` on: `mask`, shifted left by `shift`. A field with mask 0 does not exist. */
struct field {
    uint32_t offset, shift, mask;
};

enum rule_kind {
    CONSTANT,    /* `at` always reads as `value` */
    FOLLOWS,     /* `at` reads as `from` */
    RANDOM,      /* each read of `at` gives another number */
    ONES_SET,    /* ones written to `at` set the bits of `from`, */
    ONES_CLEAR,  /* or clear them; `at` itself keeps nothing */
    ZEROS_CLEAR, /* zeros written to `at` clear its bits; ones do nothing */
    PRINTS       /* a byte written to `at` is printed */
};

struct rule {
    enum rule_kind kind;
    struct field at, from;
    uint32_t value;
};

/* A register that counts retired instructions. */
struct counter {
    struct field value, enable;
    struct field reload;    /* the highest value; without it, the register wraps around */
    struct field prescaler; /* instructions for a step, less 1 */
    struct field flag;      /* set when the counter starts again */
    struct field restart;   /* a one written here makes the counter 0 */
    uint64_t since;         /* the time at which the register had its value */
};

/* A channel of a DMA controller; a transfer is done at once when the firmware enables the channel. */
struct channel {
    struct field enable;
    struct field count;                /* items */
    struct field peripheral, memory;   /* addresses */
    struct field from_memory;          /* 1: from `memory` to `peripheral` */
    struct field between_memories;     /* 1: `peripheral` is the address of memory, too */
    struct field peripheral_steps, memory_steps; /* whether the address moves on after an item */
    struct field size;                 /* of an item: 1, 2 or 4 bytes by 0, 1 or 2 */
    struct field circular;             /* 1: the channel stays enabled, and its count is as before */
    struct field done;                 /* flags that are set at the end */
};

struct peripheral {
    struct peripheral *next;
    struct peripherals *all;
    uint32_t start, size, number;
    uint8_t *contents; /* (size + 8) as written */
    struct rule *rules;
    struct counter *counters;
    struct channel *channels;
    uint32_t rule_count, counter_count, channel_count;
};

/* All of a board. The emulator provides the functions. */
struct peripherals {
    struct peripheral *first, *last;
    struct output *output;
    struct poll *poll;
    const uint64_t *instructions; /* retired so far */
    uint32_t random;
    void *context;
    uint64_t (*now)(void *context); /* instructions since reset, with the time of waits */
    bool (*load)(void *context, uint32_t address, void *data, uint32_t bytes); /* false if there is no memory */
    bool (*store)(void *context, uint32_t address, const void *data, uint32_t bytes);
};

/* Take a line of the description: a word and hexadecimal numbers. Return false if there is no such line, or no memory.
 *
 *     peripheral START SIZE NUMBER
 *     reset OFFSET VALUE                  of the last peripheral, as are the next three
 *     rule KIND AT FROM VALUE             three numbers for a field: OFFSET SHIFT MASK
 *     counter FIELD...                    in the order of struct counter
 *     channel FIELD...                    in the order of struct channel
 */
bool describe_peripheral(struct peripherals *all, const char *line);

/* The peripheral that holds all bytes from `address` on; NULL if there is none. */
struct peripheral *peripheral_at(const struct peripherals *all, uint32_t address, uint32_t bytes);

/* Accesses of 1, 2 or 4 bytes in the peripheral. */
uint32_t read_registers(struct peripheral *peripheral, uint32_t offset, uint32_t bytes);
void write_registers(struct peripheral *peripheral, uint32_t offset, uint32_t bytes, uint32_t value);

void release_peripherals(struct peripherals *all);

/* transfers.c: do the transfer of a channel that has just been enabled. */
void transfer(struct peripheral *peripheral, const struct channel *channel);

/* The value of a field, and its replacement, in the contents. */
uint32_t field_value(const struct peripheral *peripheral, struct field field);
void set_field(struct peripheral *peripheral, struct field field, uint32_t value);

#endif
