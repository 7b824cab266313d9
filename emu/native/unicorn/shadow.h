/* The memory checker: whether each byte of memory may be accessed, and whether each bit has a value.
 * emu/native/unicorn/shadow.py mirrors these structures. */
#ifndef EMU_SHADOW_H
#define EMU_SHADOW_H

#include "instructions.h"

/* The bytes of one memory. */
struct shadow_memory {
    uint32_t start, size;
    uint8_t *state;       /* enum byte_state of each byte */
    uint8_t *undefined;   /* for each byte: its bits without a value; NULL for flash, where all bits have values */
    uint32_t *origin;     /* for each word: index into origins of its undefined bits, or 0 if they arose here */
    uint32_t *block_size; /* bytes of the heap block that begins in this word */
};

/* The origin of an undefined value: the load that read it. */
struct origin {
    uint32_t pc, address, sp;
};

/* Memory of a stack that is checked; bottom is top if nothing tells which memory is the stack's. */
struct shadow_stack {
    uint32_t bottom, top;
    uint32_t sp; /* the stack has no bytes in use below it */
};

/* A finding at one instruction, and the machine at that moment. */
struct finding {
    uint32_t kind, pc;
    uint32_t access, address, size, state; /* of the first byte that may not be accessed */
    struct origin origin;                  /* origin of the undefined value; pc is 0 if there is none */
    uint32_t registers[17]; /* r0 to r15, PSP */
    uint32_t thread;        /* index into stacks of the thread that ran, or that a handler has interrupted */
    uint32_t stack_bytes;
    uint64_t times;
    uint32_t last_address; /* the address of its latest error */
    uint8_t *stack; /* the stack's bytes from registers[13] on */
};

struct shadow {
    uint64_t memory_count;
    struct shadow_memory *memories;
    uint32_t recent; /* index of the last accessed memory */

    struct shadow_stack *stacks; /* by the index in the probe's stacks */
    uint32_t sp_changed;         /* by an amount that the next instruction's hook reads */

    uint64_t choice;                   /* registers whose values depend on an undefined condition */
    uint32_t choice_undefined[REGISTERS];
    uint32_t choice_end, choice_origin; /* from the instruction at choice_end on; 0 without a choice */

    uint32_t follows_undefined;
    uint32_t in_program; /* whether the startup code, which may write all memory, is over */
    uint32_t string_reported; /* whether the last call of a string function was reported: its result counts as set */

    uint64_t undefined_registers; /* the set of registers with undefined bits */
    uint32_t undefined[REGISTERS], origin[REGISTERS];

    struct origin *origins; /* the first element means no origin */
    uint32_t origin_count, origin_capacity;

    struct finding *findings;
    uint32_t finding_count, finding_capacity;
};

#endif
