/* The structures that Unicorn's hooks share with Python; emu/native/unicorn/__init__.py mirrors them. */
#ifndef EMU_PROBE_H
#define EMU_PROBE_H

#include <stdint.h>
#include <unicorn/unicorn.h>

#include "../common/calls.h"
#include "../common/heap_calls.h"
#include "../common/peripherals.h"
#include "../common/timeline.h"
#include "exceptions.h"
#include "instructions.h"

/* SP changes by an amount that is known only at run time (DYNAMIC in emu/architectures/armv7em/thumb.py). */
#define SP_DYNAMIC INT32_MIN

enum stop_reason {
    STOP_NONE,           /* Unicorn stopped by itself: a fault, or an instruction that waits */
    STOP_PAUSE,          /* Python has something to do; running on changes nothing */
    STOP_YIELD,          /* about to execute the first instruction of emu_yield */
    STOP_EXIT,           /* about to execute the first instruction of an exit function */
    STOP_STACK_OVERFLOW, /* SP is below the limit, or about to fall below it */
    STOP_STACK_CHANGE,   /* SP is on no known stack: Python has to find the stack */
    STOP_OUT_OF_MEMORY,  /* the host has no memory left for the counters */
    STOP_ALLOCATOR,      /* an allocator function is about to be given a block that Python has moved */
    STOP_ALLOCATED,      /* an allocator function has just returned a block that Python is to move */
    STOP_UNKNOWN_CODE,   /* about to run a block whose instructions Python has not described */
    STOP_RESTART,        /* an exception began or ended: probe_run goes on */
    STOP_NO_HANDLER,     /* an exception is to be taken, and the firmware has no handler for it */
    STOP_SLEEP,          /* the last handler has ended, and SCR.SLEEPONEXIT makes the core wait */
    STOP_RESET,          /* the firmware asks for a reset (AIRCR.SYSRESETREQ) */
    STOP_TRAPS,          /* the firmware switches on a trap whose hooks are not there yet */
    STOP_EXACT,          /* a peripheral has to know the time at this very instruction: probe_run goes on */
    STOP_IDLE            /* about to execute `b .`, which no exception will interrupt */
};

/* Unicorn's functions, from the library that Python has loaded. */
struct unicorn_api {
    uc_err (*reg_read)(uc_engine *, int, void *);
    uc_err (*reg_write)(uc_engine *, int, const void *);
    uc_err (*mem_read)(uc_engine *, uint64_t, void *, uint64_t);
    uc_err (*mem_write)(uc_engine *, uint64_t, const void *, uint64_t);
    uc_err (*emu_start)(uc_engine *, uint64_t, uint64_t, uint64_t, size_t);
    uc_err (*emu_stop)(uc_engine *);
    uc_err (*context_save)(uc_engine *, void *);
    uc_err (*context_restore)(uc_engine *, void *);
};

/* Memory that instructions may be fetched from; the arrays have one entry for each halfword. */
struct code_region {
    uint32_t start, end;
    uint32_t *block_at;      /* index of the block that starts here, or 0 */
    uint8_t *is_returned_to; /* 1 after a call that has run */
    const int32_t *sp_delta; /* bytes by which the instruction here changes SP */
};

/* A translation block: straight-line code from address up to address + size. */
struct block {
    uint32_t address, size;
    uint32_t instructions;
    int32_t lowest; /* the lowest SP in it, relative to SP at its start */
    uint64_t executions;
    uint32_t function;       /* the function in which the block begins: index into functions + 1, or 0 */
    uint32_t return_address; /* the address after the block if a call ends it, else 0 */
    uint32_t known;          /* not 0 if all its instructions are in the instruction table */
    uint32_t other_size;     /* index of another block that starts here, or 0 */
    uint32_t idles;          /* not 0 if it is `b .` */
};

/* The machine when the stack pointer reached a new low. */
struct snapshot {
    uint32_t lowest;        /* the lowest SP */
    uint32_t pc;            /* where the state below was: the block's start, or after a dynamic change of SP; odd if an exception's frame is lowest */
    uint32_t exception;     /* the exception whose frame is lowest, or whose handler has saved registers below the frame; or 0 */
    uint32_t registers[16]; /* r0 to r15 */
    uint64_t block_serial;  /* the number of the block execution */
    uint8_t *stack;         /* the memory from registers[13] (at least the stack's floor) up to its top */
};

#define RESET_STACK 1u /* index of the reset's stack; 0 means no stack */

struct stack {
    uint32_t process;    /* 1 if PSP is its stack pointer, 0 if MSP is */
    uint32_t top, limit; /* SP is from limit up to top */
    uint32_t floor;      /* snapshots keep nothing below it */
    uint32_t latest_snapshot; /* index into snapshots; the other snapshot is the one before */
    struct snapshot snapshots[2];
};

/* What runs: a thread, which has its stack, or the handler of an exception. Threads come first, by their stacks. */
#define MOST_STACKS 65u /* the first one means no stack */
#define CONTEXTS (MOST_STACKS + EXCEPTIONS)

struct context {
    uint32_t entry;  /* of a handler: SP at its first instruction */
    uint32_t lowest; /* the lowest SP that its own instructions made, without the frames of exceptions */
    uint32_t depth;  /* of a handler: the most bytes from entry to lowest in an execution that has ended */
    uint32_t floats; /* whether it has used the FPU when an exception interrupted it, or when it ended */
    uint32_t saved;  /* of a thread: the most bytes that a handler has saved below an exception's frame */
    struct heap_call heap_call, break_call; /* of the allocator, and of sbrk */
};

/* The machine at the entry of an allocator function, the first time that it was called on a path. */
struct caller_capture {
    uint32_t registers[16];
    uint32_t jumped_from;  /* after the jump (a tail call) that led to the function; 0 after a call */
    uint32_t thread;       /* index into stacks of the thread that ran, or that a handler has interrupted */
    uint32_t offset, size; /* of the stack's bytes from registers[13] on, in stacks */
};

/* The call paths to the allocator, numbered from 1 on in the order of their captures; 0 is a path without a number. */
struct callers {
    uint64_t *keys; /* a hash table: the keys, */
    uint32_t *numbers; /* and the paths' numbers, 0 if a slot is free */
    uint32_t slot_count, path_count, path_capacity;
    struct caller_capture *captures; /* not yet taken by Python */
    uint8_t *stacks;
    uint32_t capture_count, capture_capacity, stack_bytes, stack_capacity;
};

struct probe {
    struct unicorn_api api;
    uint32_t stop_reason;
    uint32_t yield_address;

    /* The reason when Unicorn stopped by itself; 0 for any other stop. */
    uint32_t exception;   /* QEMU's number */
    uint32_t access_type; /* enum uc_mem_type */
    uint32_t access_address, access_size;

    uint64_t instructions; /* retired so far */
    volatile uint64_t pause_at; /* instructions after which Python wants to run; another thread may set it to 0 */
    uint64_t event_at;     /* instructions after which an exception may be taken */
    uint64_t block_serial; /* block executions so far */
    struct block *blocks; /* the first element means no block */
    uint32_t block_count, block_capacity;
    uint32_t current_block, previous_block; /* indices into blocks */
    uint64_t code_region_count;
    struct code_region *code_regions;

    struct call_tree calls;

    struct stack *stacks; /* the first element means no stack: its lowest is 0, so nothing is noted */
    uint32_t stack_count, current_stack;
    uint32_t change_address; /* after the instruction that led to STOP_STACK_CHANGE */
    struct context *contexts;
    uint32_t context; /* index into contexts */

    uint32_t stack_top, stack_floor; /* SP at reset, and the start of its memory */
    struct timeline timeline;        /* of the reset's stack */

    /* The heap, if it lies in the memory of the reset's stack; else heap_end is 0. */
    uint32_t heap_end, follows_break;
    uint32_t below_heap_end; /* whether SP was there when it was last lowered */
    uint32_t meeting_noted;  /* not 0 until Python has judged the machine when SP fell below heap_end */
    struct snapshot meeting;

    const struct allocator_entry *allocator_entries;
    uint32_t moves_blocks;       /* whether Python gives other memory for the allocator's blocks */
    uint32_t call_is_known;      /* whether the context's heap_call was seen before, and comes again after STOP_ALLOCATOR */
    struct callers callers;
    struct heap_event *heap_events;
    uint32_t heap_event_count, heap_event_capacity;

    uint64_t data_region_count;
    const uint32_t *data_regions; /* start, end of each region */
    uint64_t *loads, *stores;     /* of each region */
    uint64_t *tried;              /* counter of the last instruction, an exclusive store, if it has stored; or NULL */
    uint32_t tried_status;        /* the register that tells whether it has stored */

    struct instruction_table table; /* its capacity is 0 without the hook on every instruction */
    struct shadow *shadow; /* the memory checker's state, or NULL */
    struct exceptions *exceptions;

    struct peripherals peripherals;
    uc_engine *engine; /* for the peripherals */
    uint32_t exact_at;                   /* the instruction after STOP_EXACT, */
    uint32_t exact_accesses, exact_left; /* and how many of its accesses are exact, and are still to come */
    uint32_t is_exact;                   /* whether the access that is being made is exact */
    uint64_t exact_serial; /* block_serial at STOP_EXACT */
    /* The access to an address without registers, between peripherals, that stopped the engine; its size is 0 without one. */
    uint32_t refused_address, refused_size, refused_write;
};

#endif
