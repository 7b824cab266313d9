/* What the plugin and __init__.py share: a file that both have mapped. Python reads it while QEMU stands. */
#ifndef EMU_NATIVE_QEMU_PLUGIN_H
#define EMU_NATIVE_QEMU_PLUGIN_H

#include <stdint.h>

#include "../common/calls.h"
#include "../common/heap_calls.h"
#include "../common/timeline.h"

enum { REGIONS = 32, REGISTERS = 72, STACK_KEPT = 128 * 1024, BLOCKS = 1 << 18, INTERVALS = 256 };
enum { HEAP_EVENTS = 1 << 16, HEAP_CAPTURES = 1024, HEAP_STACK_BYTES = 1 << 20, CALL_PATHS = 1 << 16 };

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

/* The machine at the entry of an allocator function, the first time that it was called on a path. */
struct caller_capture {
    uint32_t registers[REGISTERS];
    uint32_t entry;
    uint32_t jumped_from;          /* behind the jump (a tail call) that led to the function, 0 if a call did */
    uint32_t stack_start;          /* of the stack's bytes, */
    uint32_t offset, stack_bytes;  /* which are in stacks[] */
};

/* What the allocator was called for. Python empties the lists whenever QEMU stands, or the plugin waits for that. */
struct heap {
    uint64_t waits;          /* not 0 until Python has emptied the lists */
    uint32_t end;            /* behind the heap, where it lies below the stack in the same memory, else 0 */
    uint32_t unseen_returns; /* calls that did not return before the next one, nor were left by longjmp */
    uint32_t event_count, capture_count, stack_bytes;
    uint32_t meeting_noted;  /* not 0 if `meeting` is the machine when SP came down below `end`, from `met_from` */
    uint32_t met_from;
    uint32_t has_met;        /* set by Python: one meeting is enough */
    struct lowest meeting;
    struct heap_event events[HEAP_EVENTS];
    struct caller_capture captures[HEAP_CAPTURES];
    uint8_t stacks[HEAP_STACK_BYTES];
};

struct shared {
    uint64_t ready; /* sizeof(struct shared), once the plugin has taken hold of QEMU */
    uint64_t instructions;
    uint64_t loads[REGIONS], stores[REGIONS]; /* by the order of the board's `region` lines */
    uint32_t current_block, previous_block; /* the last two that were begun: positions in blocks[] */
    uint64_t off_stack;                     /* whether SP was outside the stack's memory */
    uint64_t wanted; /* set by Python: the next block is not counted, but the registers before it are written down */
    uint32_t registers[REGISTERS];
    struct timeline timeline; /* of intervals[] */
    uint32_t intervals[INTERVALS];
    struct lowest lowest;
    struct heap heap;
    struct call_tree calls; /* of nodes[] */
    uint32_t counted_node;  /* that has the current block's instructions */
    struct call_node nodes[CALL_PATHS];
    struct block blocks[BLOCKS];
};

#endif
