/* The parts of the plugin and their shared state. A process has one machine, as QEMU's callbacks take no context. */
#ifndef EMU_NATIVE_QEMU_PARTS_H
#define EMU_NATIVE_QEMU_PARTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "plugin.h"
#include "qemu.h"

enum { NOWHERE = UINT32_MAX }; /* no instruction is there */
enum { ALLOCATOR_ENTRIES = 64 };
enum { FIRST_BYTES = 4 }; /* of an instruction: enough to know the instruction */

struct region {
    uint32_t start, end;
};

/* How QEMU's accesses for an instruction differ from the core's accesses. */
enum accesses {
    NO_ACCESSES, /* QEMU tries whether there is memory */
    ALL_ACCESSES,
    TWO_WORDS,   /* QEMU 10 makes one access of the two */
    ONLY_STORES, /* QEMU loads as well, to find out whether it may store exclusively */
    COMPARE_AND_SWAP, /* QEMU always stores: the loaded value, if that differs from the expected value */
};

/* The differences between the versions of QEMU: qemu_7.c, qemu_8.c and qemu_10.c. */
struct generation {
    int api; /* the version of the plugin API */
    /* Makes QEMU show callbacks the core's registers; NULL if QEMU does so by itself. */
    void (*prepare)(void);
    /* Finds a function that translated code calls. */
    void *(*find_helper)(const char *name);
    /* The first bytes of an instruction; `room` may hold them. */
    const uint8_t *(*first_bytes)(const struct qemu_plugin_insn *insn, uint8_t room[FIRST_BYTES]);
    /* Whether QEMU resets the core before it tells the plugin of the core. */
    bool starts_late;
};
extern const struct generation qemu_7, qemu_8, qemu_10;

/* The differences between the cores. */
struct core {
    const char *target;       /* QEMU's name for it */
    const char *set_register; /* QEMU's function that sets a register */
    struct region own;        /* addresses of the core's own registers */
    uint32_t below_sp;        /* bytes of the stack that lie below SP */
    bool reset_reads_memory;  /* whether a reset loads registers from the board's memory */

    /* Finds the core's state in QEMU's object; returns the container of all the core's memory. */
    void *(*attach)(void *cpu);
    /* Whether the instruction may change SP. */
    bool (*changes_sp)(uint32_t address, const uint8_t *bytes);
    /* The size of the instruction that begins with these bytes. QEMU's own answer is wrong before the end of a page:
     * there its translator reads the next instruction, and the plugin API adds those bytes to this instruction. */
    uint32_t (*instruction_size)(const uint8_t *bytes);
    /* Whether the instruction jumps to itself; NULL if the machine need not stop there. */
    bool (*idles)(const uint8_t *bytes);
    /* Whether the instruction is a call. */
    bool (*is_call)(const uint8_t *bytes);
    enum accesses (*accesses)(const uint8_t *bytes);
    /* Whether a compare-and-swap that has loaded from `address` stores; NULL if the core has no such instruction. */
    bool (*swaps)(uint32_t address);
    /* Sets registers before the first instruction; NULL if QEMU's reset already sets them right. */
    void (*boot)(void);
    /* Makes the machine stop for faults at a new base of the vectors; NULL if the base cannot move. */
    void (*watch_vectors)(void);
    /* Whether an instruction before `following` may lead SP to another stack. */
    bool (*sets_sp_anew)(uint32_t following);
    /* The register from which an instruction stores downwards, if it moves the register and the register is not SP; -1
     * for any other instruction. NULL, like the next two, if the core's stacks are not followed. */
    int (*saves_below)(const uint8_t *bytes);
    /* Whether an instruction uses the FPU, unless it is skipped; *skips counts the instructions that an IT may skip. */
    bool (*uses_floats)(const uint8_t *bytes, uint32_t *skips);
    /* Captures the machine before an exception that has pushed this frame; returns the address that it has interrupted. */
    uint32_t (*capture_interrupted)(uint32_t registers[REGISTERS], uint32_t frame, bool floats);
    /* Whether SP points to the stack although a status bit is set. */
    bool (*has_stack)(void);
    /* Whether only an exception leads to `address`; the exception may have cut a block short. NULL, like the next two,
     * if no exception cuts a block short.
     */
    bool (*begins_exception)(uint32_t address);
    /* Whether the exception that led to the address is a fault, at which the machine stops. */
    bool (*is_fault)(uint32_t address);
    /* Takes the exception that led to the address; returns where it has cut the block short, or NOWHERE. */
    uint32_t (*take_exception)(uint32_t address);
    /* Takes the exception of a fetch from memory without instructions; NULL if any memory may hold instructions. */
    void (*refuse_fetch)(uint32_t address);
    /* Captures the registers in the order of Core.registers (emu/architectures/core.py). */
    void (*capture)(uint32_t registers[REGISTERS]);

    /* The next four are about a function that has just been called, before its first instruction at `entry`. */
    /* The return address as the core keeps it; */
    uint32_t (*link)(uint32_t entry);
    /* the address in that return address (link); */
    uint32_t (*return_address)(uint32_t link, uint32_t entry);
    /* an argument; */
    uint32_t (*argument)(uint32_t entry, uint32_t number);
    /* a key of the callers with their frames; `stack` are the bytes from SP - below_sp on. */
    uint64_t (*path_key)(uint32_t entry, const uint8_t *stack, uint32_t stack_bytes);
    /* The result of a function that has just returned to `link`. */
    uint32_t (*result)(uint32_t link);
};
extern const struct core arm, xtensa;

extern struct plugin {
    const struct generation *generation;
    const struct core *core;
    struct internals qemu;
    struct shared *shared;
    uint8_t *memory; /* the contents of all memories */
    const char *board;
    /* in the core's state */
    const uint32_t *sp;
    const uint32_t *status; /* while one of these bits is set, SP points to the stack only if has_stack says so */
    uint32_t status_bits;
    const uint32_t *exception, *control, *process_sp; /* IPSR, CONTROL and PSP of a Cortex-M in a handler, else NULL */
    uint32_t vector_table; /* at reset */
    const uint32_t *vectors; /* the base of the exception vectors, and the base that is watched */
    uint32_t watched_vectors;
    /* of the board */
    struct region regions[REGIONS];
    int region_count;
    struct window {
        struct region region;
        uint8_t *contents;
        bool writable;
    } windows[REGIONS]; /* the memories */
    int window_count;
    uint32_t stack_floor, stack_top;
    struct region code[REGIONS]; /* executable memory */
    int code_count;
    const uint8_t *sp_changes; /* a bit for each halfword of executable memory, region after region */
    const uint8_t *sp_anew;    /* likewise, after an instruction that may lead SP to another stack */
    bool traffic, bare;
    uint32_t first_interval; /* in instructions */
    struct allocator_entry allocator[ALLOCATOR_ENTRIES];
    int allocator_count;
    bool follows_break;
    const struct function_range *functions;
    uint32_t function_count;
    bool profile; /* whether call paths are followed */
    uint32_t in_allocator; /* threads and handlers with a call of the allocator that has not returned */
    struct peripherals peripherals;
    bool booted; /* the first instruction has been seen */
} plugin;

/* state.c */
__attribute__((noreturn, format(printf, 1, 2))) void refuse(const char *format, ...);
void *allocate(size_t bytes);

/* internals.c */
void set_breakpoint(uint32_t pc);
void stop_machine(uint32_t pc); /* by a breakpoint, before the next instruction, which is at pc; returns to QEMU */
/* What QEMU exports by this name; */
void *exported(const char *name);
/* a function that translated code calls, without the prefix of its name. */
void *exported_helper(const char *name);
void look_up_internals(const char *set_register);
/* Finds `count` adjacent registers in the core's state; gdb numbers them from `first` on. They become 0. */
uint32_t *find_registers(void *cpu, int first, int count);

/* memory.c */
void read_board(void *container);
void hide_machine(void *container);
/* The memory at an address, and how many bytes follow; NULL if there is no memory. */
const uint8_t *memory_at(uint32_t address, uint32_t *bytes);

/* heap.c */
void watch_allocator(struct qemu_plugin_insn *insn, uint32_t address);
/* A block is about to run to which an allocator function may return. */
void note_returns(uint32_t address);
void wait_for_python(void);
/* SP fell from `from` to its present value, below the heap's end. */
void note_meeting(uint32_t from, uint32_t lowered_at, uint32_t pc);

/* calls.c */
void start_paths(void);
/* A block of `function` is about to run; call_returns_to is the return address if a call ended the block before it, or 0. */
void count_on_path(uint32_t address, uint32_t function, uint32_t instructions, uint32_t call_returns_to);

/* stack.c */
void start_stack(void);
/* Looks at SP after the instruction lowered_at; pc is the next instruction. anew: SP may be on another stack. */
void look_at_sp(uint32_t lowered_at, uint32_t pc, bool anew);
/* A handler has stored the registers of the interrupted thread from `lowest` on. */
void note_saved_registers(uint32_t lowest);
void note_floats(void);
uint32_t running_thread(void); /* index into stacks */
uint32_t running(void);        /* index into contexts */
void next_interval(void);

/* snapshot.c */
void write_down(struct lowest *machine, const struct stack *stack, uint32_t lowered_at, uint32_t pc);
void keep_stack(struct lowest *machine, const struct stack *stack, uint32_t from);

/* counts.c */
bool is_executable(uint32_t address);
void on_translation(qemu_plugin_id_t id, struct qemu_plugin_tb *tb);

#endif
