/* The parts of the plugin, and what they share. One machine is in a process: QEMU's callbacks know no other owner. */
#ifndef EMU_NATIVE_QEMU_PARTS_H
#define EMU_NATIVE_QEMU_PARTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "plugin.h"
#include "qemu.h"

enum { NOWHERE = UINT32_MAX }; /* no instruction is there */

struct region {
    uint32_t start, end;
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
    uint32_t stack_floor, stack_top;
    const uint8_t *stack;      /* what is at stack_floor */
    struct region code[REGIONS]; /* what can be executed */
    int code_count;
    const uint8_t *sp_changes; /* a bit for each halfword of it, one region after the other */
    bool traffic;
    bool booted; /* the first instruction has been seen */
} plugin;

/* plugin.c */
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

/* counts.c */
bool is_executable(uint32_t address);
void on_translation(qemu_plugin_id_t id, struct qemu_plugin_tb *tb);

#endif
