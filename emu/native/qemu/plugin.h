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
    uint32_t sp_change;                   /* the last instruction, if it changes SP, or 0; + 1 if to another stack */
    uint64_t executions;
};

/* The machine when SP reached a new low, before the instruction at `pc`. */
struct lowest {
    uint32_t sp;
    uint32_t lowered_at;  /* the instruction that lowered SP, or the handler if an exception's frame did; odd if a frame
                           * on the stack of an interrupted thread is lowest */
    uint32_t exception;   /* of that frame, or 0 */
    uint32_t stack_start, stack_bytes; /* number of bytes in stack[] */
    uint32_t pc;
    uint32_t registers[REGISTERS]; /* in the core's own order */
    uint8_t stack[STACK_KEPT];
};

enum { MOST_STACKS = 65, RESET_STACK = 1 /* 0 means no stack */, EXCEPTIONS = 512, CONTEXTS = MOST_STACKS + EXCEPTIONS };

struct stack {
    uint32_t process;    /* 1 if PSP is its stack pointer, 0 if MSP or a1 is */
    uint32_t top, limit; /* SP is from limit up to top */
    struct lowest lowest;
};

/* What runs: a thread, by its stack, or from MOST_STACKS on the handler of an exception. */
struct context {
    uint32_t entry;  /* of a handler: SP at its first instruction */
    uint32_t lowest; /* the lowest SP that its own instructions made, without the frames of exceptions */
    uint32_t depth;  /* of a handler: the most bytes from entry to lowest in an execution that has ended */
    uint32_t floats; /* whether it has used the FPU */
    uint32_t saved;  /* of a thread: the most bytes that a handler has saved below an exception's frame */
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
    uint32_t thread;               /* index into stacks of the thread that ran, or that a handler has interrupted */
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
    uint64_t off_stack;                     /* whether SP was outside the reset stack's memory, if stacks are not followed */
    uint64_t wanted; /* set by Python: capture the registers before the next block, and do not count that */
    uint32_t registers[REGISTERS];
    struct timeline timeline; /* number of intervals[] */
    uint32_t intervals[INTERVALS];
    uint32_t last_sp; /* at the last look */
    uint32_t stack_count, current_stack; /* of stacks[] */
    uint32_t asked_sp, asked_process;    /* an SP whose stack Python is to find while the plugin waits; 0 if there is none */
    uint32_t overflowed;                 /* the stack whose overflow has stopped the machine, or 0 */
    struct stack stacks[MOST_STACKS];
    struct context contexts[CONTEXTS];
    struct departure departure;
    struct heap heap;
    struct call_tree calls; /* number of nodes[] */
    uint32_t counted_node;  /* the node with the current block's instructions */
    struct call_node nodes[CALL_PATHS];
    struct block blocks[BLOCKS];
    struct output output;
    struct poll poll;
    uint64_t goes_on_idling; /* set by Python: the core may run the `b .` at which it stands */
};

#endif
