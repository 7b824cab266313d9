/* What the plugin and __init__.py share: a file that both have mapped. Python reads it while QEMU stands. */
#ifndef EMU_NATIVE_QEMU_PLUGIN_H
#define EMU_NATIVE_QEMU_PLUGIN_H

#include <stdint.h>

enum { REGIONS = 32, REGISTERS = 72, STACK_KEPT = 128 * 1024, BLOCKS = 1 << 18 };

/* A straight-line piece of code that ran; the table of them is a hash table by the first three. */
struct block {
    uint32_t address, size, instructions; /* no instructions: the place is free */
    uint32_t sp_change;                   /* the last instruction, if it changes SP, or 0 */
    uint64_t executions;
};

/* The machine when SP reached a new low, before the instruction at `pc`. */
struct lowest {
    uint32_t sp;
    uint32_t lowered_at;  /* the instruction that brought it there; of an exception's frame, the handler */
    uint32_t stack_start, stack_bytes; /* of what is in stack[] */
    uint32_t pc;
    uint32_t registers[REGISTERS]; /* in the core's own order */
    uint8_t stack[STACK_KEPT];
};

struct shared {
    uint64_t ready; /* sizeof(struct shared), once the plugin has taken hold of QEMU */
    uint64_t instructions;
    uint64_t loads[REGIONS], stores[REGIONS]; /* by the order of the board's `region` lines */
    uint32_t current_block, previous_block; /* the last two that were begun: positions in blocks[] */
    uint64_t off_stack;                     /* whether SP was outside the stack's memory */
    uint64_t wanted; /* set by Python: the next block is not counted, but the registers before it are written down */
    uint32_t registers[REGISTERS];
    struct lowest lowest;
    struct block blocks[BLOCKS];
};

#endif
