/* The parts of the plugin, and what they share. One machine is in a process: QEMU's callbacks know no other owner. */
#ifndef EMU_NATIVE_QEMU_PARTS_H
#define EMU_NATIVE_QEMU_PARTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "plugin.h"
#include "qemu.h"

enum { NOWHERE = UINT32_MAX }; /* no instruction is there */
enum { ALLOCATOR_ENTRIES = 64 };

struct region {
    uint32_t start, end;
};

/* Which of the accesses that QEMU makes for an instruction the core makes, too. */
enum accesses {
    NO_ACCESSES, /* QEMU tries whether there is memory */
    ALL_ACCESSES,
    ONLY_STORES, /* QEMU loads as well, to find out whether it may store exclusively */
    COMPARE_AND_SWAP, /* QEMU always stores: what it has loaded, if that is not what was expected */
};

/* What differs between the cores. */
struct core {
    const char *target;       /* what QEMU calls it */
    const char *set_register; /* QEMU's function that gives a register a value */
    struct region own;        /* addresses at which the core itself has something */
    uint32_t below_sp;        /* bytes of the stack that lie below SP */

    /* Finds the core's state in QEMU's object; returns the container of all memory that it sees. */
    void *(*attach)(void *cpu);
    /* Whether the instruction may change SP. */
    bool (*changes_sp)(uint32_t address, const uint8_t *bytes);
    /* Bytes of the instruction that begins with these. QEMU's own answer is wrong before the end of a page: there its
     * translator looks at the next instruction, and the plugin API appends what it looked at to this one. */
    uint32_t (*instruction_size)(const uint8_t *bytes);
    /* Whether the instruction is a call. */
    bool (*is_call)(const uint8_t *bytes);
    enum accesses (*accesses)(const uint8_t *bytes);
    /* Whether a compare-and-swap that has loaded what is at `address` stores; NULL where the core has none. */
    bool (*swaps)(uint32_t address);
    /* Sets what the firmware finds set; before the first instruction. NULL where that is what the reset leaves. */
    void (*boot)(void);
    /* Sees to it that the machine stops for faults where the base of its vectors has been moved to. NULL where it cannot be. */
    void (*watch_vectors)(void);
    /* Whether SP is the stack's although one of the status bits is set. */
    bool (*has_stack)(void);
    /* Whether the core arrives at `address` only by an exception, which may have cut the block before it short. Where it
     * never does, the next two are NULL.
     */
    bool (*begins_exception)(uint32_t address);
    /* Whether the one that has led there is a fault: the machine stops for it. */
    bool (*is_fault)(uint32_t address);
    /* Goes on with the one that has led there; returns where it has cut that block, or NOWHERE. */
    uint32_t (*take_exception)(uint32_t address);
    /* Takes the exception of a fetch from memory that holds no instructions; NULL where any memory may. */
    void (*refuse_fetch)(uint32_t address);
    /* Writes the registers down, in the order that the Python side of the core knows. */
    void (*capture)(uint32_t registers[REGISTERS]);

    /* The next four: of a function that has been called, with its first instruction, at `entry`, the next one. */
    /* What it returns to, as the core keeps that; */
    uint32_t (*link)(uint32_t entry);
    /* the address in it; */
    uint32_t (*return_address)(uint32_t link, uint32_t entry);
    /* an argument; */
    uint32_t (*argument)(uint32_t entry, uint32_t number);
    /* a key of the callers with their frames, where `stack` is what is from SP - below_sp on. */
    uint64_t (*path_key)(uint32_t entry, const uint8_t *stack, uint32_t stack_bytes);
    /* The result of a function that has just returned to `link`. */
    uint32_t (*result)(uint32_t link);
};
extern const struct core arm, xtensa;

extern struct plugin {
    const struct core *core;
    struct internals qemu;
    struct shared *shared;
    uint8_t *memory; /* the contents of all memories */
    const char *board;
    int output;
    /* in the core's state */
    const uint32_t *sp;
    const uint32_t *status; /* while one of these bits is set, SP is the stack's only where the core says so */
    uint32_t status_bits;
    const uint32_t *vectors; /* the base of the exception vectors, and where that was when they were watched */
    uint32_t watched_vectors;
    /* of the board */
    struct region regions[REGIONS];
    int region_count;
    struct window {
        struct region region;
        uint8_t *contents;
    } windows[REGIONS]; /* the memories */
    int window_count;
    uint32_t stack_floor, stack_top;
    const uint8_t *stack;      /* what is at stack_floor */
    struct region code[REGIONS]; /* what can be executed */
    int code_count;
    const uint8_t *sp_changes; /* a bit for each halfword of it, one region after the other */
    bool traffic, bare;
    uint32_t first_interval; /* in instructions */
    struct allocator_entry allocator[ALLOCATOR_ENTRIES];
    int allocator_count;
    bool follows_break;
    const struct function_range *functions;
    uint32_t function_count;
    bool profile; /* whether call paths are followed */
    bool in_allocator; /* whether a call of it has not returned */
    bool booted; /* the first instruction has been seen */
} plugin;

/* state.c */
__attribute__((noreturn, format(printf, 1, 2))) void refuse(const char *format, ...);
void *allocate(size_t bytes);

/* internals.c */
void set_breakpoint(uint32_t pc);
void stop_machine(uint32_t pc); /* before the instruction there, which is the next one, by a breakpoint; returns to QEMU */
void look_up_internals(const char *set_register);
void let_callbacks_read_registers(void);
void *find_helper(const char *name);
/* Finds `count` registers that lie in a row in the core's state: the first is number `first` to gdb. They become 0. */
uint32_t *find_registers(void *cpu, int first, int count);

/* memory.c */
void read_board(void *container);
void hide_machine(void *container);
/* What is at an address, and how much of it there is; NULL where there is no memory. */
const uint8_t *memory_at(uint32_t address, uint32_t *bytes);

/* heap.c */
void watch_allocator(struct qemu_plugin_insn *insn, uint32_t address);
/* A block is about to run to which an allocator function may return. */
void note_returns(uint32_t address);
/* SP came down from `from` to where it is, below the heap's end. */
void note_meeting(uint32_t from, uint32_t lowered_at, uint32_t pc);

/* calls.c */
void start_paths(void);
/* A block of `function` is about to run; call_returns_to is what a call by the block before it would return to, or 0. */
void count_on_path(uint32_t address, uint32_t function, uint32_t instructions, uint32_t call_returns_to);

/* stack.c */
void start_stack(void);
void look_at_sp(uint32_t lowered_at, uint32_t pc);
void next_interval(void);

/* snapshot.c */
void write_down(struct lowest *machine, uint32_t lowered_at, uint32_t pc);

/* counts.c */
bool is_executable(uint32_t address);
void on_translation(qemu_plugin_id_t id, struct qemu_plugin_tb *tb);

#endif
