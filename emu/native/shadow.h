/* The memory checker: of each byte of memory whether it may be accessed, and of each bit whether it has a value.
 * emu/native/shadow.py mirrors these structures. */
#ifndef EMU_SHADOW_H
#define EMU_SHADOW_H

#include <stdint.h>

/* Registers by number: r0 to r15, s0 to s31, and the flags. */
#define REGISTER_SP 13u
#define REGISTER_LR 14u
#define REGISTER_PC 15u
#define REGISTER_S0 16u
#define REGISTER_FLAGS 48u     /* N, Z, C, V in bits 31 to 28, and in bit 27 whether N is not V */
#define REGISTER_GE 49u        /* GE[3:0] in bits 3 to 0 */
#define REGISTER_FP_FLAGS 50u  /* like the flags */
#define REGISTERS 51u
#define NO_REGISTER 0xffu

/* How what is undefined in the operands goes into the result. */
enum operation {
    OP_OPAQUE,  /* one undefined bit makes every result undefined */
    OP_MOVE,    /* registers[i] from registers[count + i] */
    OP_AND,     /* first & second */
    OP_OR,      /* first | second */
    OP_XOR,     /* first ^ second */
    OP_ADD,     /* first + second: an undefined bit reaches those above it (also: subtraction, multiplication) */
    OP_SHIFT,   /* second, shifted */
    OP_EXTRACT, /* width bits of first from lsb on (rotated to bit 0), extended */
    OP_INSERT,  /* second's low width bits into first, from lsb on */
    OP_REVERSE_BYTES, OP_REVERSE_HALFWORD_BYTES, OP_REVERSE_BITS,
    OP_COUNT_ZEROS, /* the leading ones, of second */
    OP_ADD_BYTES,   /* four sums, and whether each carries in GE */
    OP_SELECT,      /* each byte from first or second, as GE says */
    OP_COMPARE,     /* the flags of first - second */
    OP_CHOOSE       /* IT: whether the next instructions, which only compute, take effect */
};

enum shift { SHIFT_NONE, SHIFT_LEFT, SHIFT_RIGHT, SHIFT_RIGHT_SIGNED, SHIFT_ROTATE };

enum access { ACCESS_NONE, ACCESS_LOAD, ACCESS_STORE };

/* What has to be done at an instruction besides the check. */
enum watch { WATCH_STACK_POINTER = 1, WATCH_ALLOCATOR = 2, WATCH_STOP = 4, WATCH_PROGRAM = 8, WATCH_STRING = 16 };

/* What a string function of the C library reads of its arguments. */
enum string_function {
    STRING_NONE,
    STRING_LENGTH, STRING_LENGTH_LIMITED, STRING_COPY, STRING_COPY_LIMITED, STRING_APPEND, STRING_APPEND_LIMITED,
    STRING_COMPARE, STRING_COMPARE_LIMITED, STRING_FIND, MEMORY_FIND, MEMORY_COMPARE
};

enum finding_kind {
    FINDING_UNINITIALISED_BRANCH,
    FINDING_UNINITIALISED_ADDRESS,
    FINDING_UNINITIALISED_OUTPUT,
    FINDING_ACCESS, /* of bytes that may not be accessed: state tells why */
    FINDING_UNALIGNED,
    FINDING_KINDS
};

/* One instruction; everything that the checker needs to know of it. */
struct instruction {
    uint64_t reads, writes; /* sets of registers: bit i stands for register i */
    uint64_t chooses;       /* the registers that the next covered bytes of code write or not */
    uint32_t immediate;     /* second, where that is no register */
    uint32_t condition;     /* the flags, as in REGISTER_FLAGS, that decide where it goes on */
    int32_t displacement;
    int32_t sp_delta;       /* bytes by which it changes SP, or SP_DYNAMIC */
    uint8_t operation, destination, first, second;
    uint8_t shift, amount, amount_register; /* of second */
    uint8_t lsb, width;
    uint8_t covered, taken; /* choose: bytes of code, and a bit for each instruction that is run where it holds */
    uint8_t is_signed;      /* extract and load */
    uint8_t inverted;       /* second */
    uint8_t sets_flags;
    uint8_t jumps;          /* what it reads (or loads into r15) is where it goes on */
    uint8_t access, size, alignment; /* bytes; alignment is what the core insists on */
    uint8_t base, index, index_shift;
    uint8_t count;          /* registers that are moved, loaded or stored, one element each; choose: instructions */
    uint8_t watch;          /* enum watch */
    uint8_t reserves;       /* a push or pop whose first registers only make room: how many */
    uint8_t string;         /* enum string_function: the function that it belongs to */
    uint8_t plain;          /* no access, no change of SP, nothing to watch */
    uint8_t registers[32];
    uint32_t origin;                 /* of what it last loaded: index into origins, or 0 */
    uint32_t findings[FINDING_KINDS]; /* what was found here: index into findings + 1, or 0 */
};

/* Whether a byte may be accessed, and why not. */
enum byte_state {
    BYTE_ACCESSIBLE,
    BYTE_OUTSIDE,     /* nothing is linked here */
    BYTE_PADDING,     /* between two objects of a section */
    BYTE_READ_ONLY,   /* constants that were loaded into RAM */
    BYTE_NULL,        /* code in the first page: no null pointer may point here */
    BYTE_BELOW_STACK, /* of the stack, below SP */
    BYTE_HEAP,        /* of the heap, in no block */
    BYTE_FREED        /* in a block that was freed */
};

/* The bytes of one memory. */
struct shadow_memory {
    uint32_t start, size;
    uint8_t *state;       /* enum byte_state of each byte */
    uint8_t *undefined;   /* of each byte the bits that have no value; NULL where all have one: flash */
    uint32_t *origin;     /* of each word: index into origins of what is undefined in it, or 0 where it arose here */
    uint32_t *block_size; /* bytes of the heap block that begins in this word */
};

/* Where an undefined value came from: what was loaded, and by which instruction. */
struct origin {
    uint32_t pc, address, sp;
};

/* What was found at one instruction, and the machine when it was. */
struct finding {
    uint32_t kind, pc;
    uint32_t access, address, size, state; /* of the first byte that may not be accessed */
    uint32_t origin;                       /* index into origins, or 0 */
    uint32_t registers[16];
    uint32_t stack_bytes;
    uint64_t times;
    uint8_t *stack; /* from registers[13] on */
};

struct shadow {
    uint64_t memory_count;
    struct shadow_memory *memories;
    uint32_t recent; /* index of the memory that was accessed last */

    uint32_t stack_bottom, stack_top; /* the memory of the stack that is checked */
    uint32_t sp;                      /* on that stack */
    uint32_t sp_changed;              /* by an amount that the next instruction's hook finds out */

    uint64_t choice;                   /* registers whose values depend on an undefined condition */
    uint32_t choice_undefined[REGISTERS];
    uint32_t choice_end, choice_origin; /* from the instruction at choice_end on; 0 where there are none */

    uint32_t in_program; /* whether the startup code, which writes all over the memory, is over */

    uint32_t unknown_address, unknown_size; /* of the block that Python has to describe */

    struct instruction *instructions; /* the first one stands for none */
    uint32_t instruction_count, instruction_capacity;
    uint32_t **instruction_at; /* of each code region: of each halfword the index of its instruction */

    uint64_t undefined_registers; /* the set of those that have undefined bits */
    uint32_t undefined[REGISTERS], origin[REGISTERS];

    struct origin *origins; /* the first one stands for none */
    uint32_t origin_count, origin_capacity;

    struct finding *findings;
    uint32_t finding_count, finding_capacity;
};

#endif
