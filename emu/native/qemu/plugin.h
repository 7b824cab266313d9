/* The file that the plugin and __init__.py both map. Python reads it while QEMU is stopped. */
#ifndef EMU_NATIVE_QEMU_PLUGIN_H
#define EMU_NATIVE_QEMU_PLUGIN_H

#include <stdint.h>

#include "../common/calls.h"
#include "../common/heap_calls.h"
#include "../common/peripherals.h"
#include "../common/timeline.h"

enum { REGIONS = 32, REGISTERS = 72, STACK_KEPT = 128 * 1024, BLOCKS = 1 << 18, INTERVALS = 256 };
enum { HEAP_EVENTS = 1 << 16, HEAP_CAPTURES = 1024, HEAP_STACK_BYTES = 1 << 20, CALL_PATHS = 1 << 16 };

/* Straight-line code that ran, in a hash table by the first three fields. */
struct block {
    uint32_t address, size, instructions; /* no instructions: a free place */
    uint32_t sp_change;                   /* the last instruction, if it changes SP, or 0 */
    uint64_t executions;
};

/* The machine when SP reached a new low, before the instruction at `pc`. */
struct lowest {
    uint32_t sp;
    uint32_t lowered_at;  /* the instruction that lowered SP, or the handler if an exception's frame did */
    uint32_t stack_start, stack_bytes; /* number of bytes in stack[] */
    uint32_t pc;
    uint32_t registers[REGISTERS]; /* in the core's own order */
    uint8_t stack[STACK_KEPT];
};

/* The machine when SP last went to an address without memory, before the instruction at `pc`. */
struct departure {
    uint32_t sp, pc; /* sp is 0 if SP has always been in memory */
    uint32_t registers[REGISTERS];
};

/* The machine at the entry of an allocator function, the first time that it was called on a path. */
struct caller_capture {
    uint32_t registers[REGISTERS];
    uint32_t entry;
    uint32_t jumped_from;          /* after the jump (a tail call) that led to the function; 0 after a call */
    uint32_t stack_start;          /* number of the stack's bytes, */
    uint32_t offset, stack_bytes;  /* which are in stacks[] */
};

/* Calls of the allocator. Python empties the lists when QEMU is stopped, or when the plugin waits for it. */
struct heap {
    uint64_t waits;          /* not 0 until Python has emptied the lists */
    uint32_t end;            /* after the heap if the heap lies below the stack in one memory, else 0 */
    uint32_t unseen_returns; /* calls that neither returned before the next call nor were left by longjmp */
    uint32_t event_count, capture_count, stack_bytes;
    uint32_t meeting_noted;  /* not 0 if `meeting` is the machine when SP fell below `end`, from `met_from` */
    uint32_t met_from;
    uint32_t has_met;        /* set by Python: one meeting is enough */
    struct lowest meeting;
    struct heap_event events[HEAP_EVENTS];
    struct caller_capture captures[HEAP_CAPTURES];
    uint8_t stacks[HEAP_STACK_BYTES];
};

struct shared {
    uint64_t ready; /* sizeof(struct shared), once the plugin is ready */
    uint64_t instructions;
    uint64_t loads[REGIONS], stores[REGIONS]; /* in the order of the board's `region` lines */
    uint32_t current_block, previous_block; /* the latest two blocks: positions in blocks[] */
    uint64_t off_stack;                     /* whether SP was outside the stack's memory */
    uint64_t wanted; /* set by Python: capture the registers before the next block, and do not count that */
    uint32_t registers[REGISTERS];
    struct timeline timeline; /* number of intervals[] */
    uint32_t intervals[INTERVALS];
    uint32_t last_sp; /* at the last look */
    struct lowest lowest;
    struct departure departure;
    struct heap heap;
    struct call_tree calls; /* number of nodes[] */
    uint32_t counted_node;  /* the node with the current block's instructions */
    struct call_node nodes[CALL_PATHS];
    struct block blocks[BLOCKS];
    struct output output;
};

#endif
