/* Instructions for the hook on every instruction. emu/native/unicorn/instructions.py mirrors these structures. */
#ifndef EMU_INSTRUCTIONS_H
#define EMU_INSTRUCTIONS_H

#include <stdint.h>

/* Registers by number: r0 to r15, s0 to s31, and the flags. */
#define REGISTER_SP 13u
#define REGISTER_LR 14u
#define REGISTER_PC 15u
#define REGISTER_S0 16u
#define REGISTER_FLAGS 48u     /* N, Z, C, V in bits 31 to 28; bit 27 is set if N differs from V */
#define REGISTER_GE 49u        /* GE[3:0] in bits 3 to 0 */
#define REGISTER_FP_FLAGS 50u  /* a set of bits, as for the flags */
#define REGISTERS 51u
#define NO_REGISTER 0xffu

/* How undefined bits of the operands reach the result. */
enum operation {
    OP_OPAQUE,  /* one undefined bit makes every result undefined */
    OP_MOVE,    /* registers[i] from registers[count + i] */
    OP_AND,     /* first & second */
    OP_OR,      /* first | second */
    OP_XOR,     /* first ^ second */
    OP_ADD,     /* first + second (width bits of it from lsb on, extended) + third: an undefined bit reaches those above it (also: subtraction, multiplication) */
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

/* Other tasks at an instruction. */
enum watch { WATCH_STACK_POINTER = 1, WATCH_ALLOCATOR = 2, WATCH_STOP = 4, WATCH_PROGRAM = 8, WATCH_STRING = 16,
             WATCH_STACK_CHANGE = 32, WATCH_COPY = 64 };

/* The bytes of its arguments that a string function of the C library reads. */
enum string_function {
    STRING_NONE,
    STRING_LENGTH, STRING_LENGTH_LIMITED, STRING_COPY, STRING_COPY_LIMITED, STRING_APPEND, STRING_APPEND_LIMITED,
    STRING_COMPARE, STRING_COMPARE_LIMITED, STRING_FIND, MEMORY_FIND, MEMORY_COMPARE
};

/* Whether a byte may be accessed, and why not. */
enum byte_state {
    BYTE_ACCESSIBLE,
    BYTE_OUTSIDE,     /* nothing is linked here */
    BYTE_PADDING,     /* between two objects of a section */
    BYTE_READ_ONLY,   /* constants that were loaded into RAM */
    BYTE_NULL,        /* code in the first page: no null pointer may point here */
    BYTE_BELOW_STACK, /* in the stack, below SP */
    BYTE_HEAP,        /* in the heap, but in no block */
    BYTE_FREED        /* in a freed block */
};

enum finding_kind {
    FINDING_UNINITIALISED_BRANCH,
    FINDING_UNINITIALISED_ADDRESS,
    FINDING_UNINITIALISED_OUTPUT,
    FINDING_UNALIGNED,
    FINDING_OVERLAP, /* memcpy between places that overlap; state is 0 */
    FINDING_ACCESS /* of bytes that may not be accessed; state tells why */
};

/* An instruction has one finding of each kind, and of the last kind one for each state of the bytes. */
#define FINDINGS (FINDING_ACCESS + BYTE_FREED + 1)

/* One instruction, with all the facts that the checker needs. */
struct instruction {
    uint64_t reads, writes; /* sets of registers: bit i stands for register i */
    uint64_t chooses;       /* the registers that the next covered bytes of code may write */
    uint32_t immediate;     /* replaces second, or else first, if that is no register */
    uint32_t condition;     /* the flags, as in REGISTER_FLAGS, that decide the next instruction */
    int32_t displacement;
    int32_t sp_delta;       /* bytes by which it changes SP, or SP_DYNAMIC */
    uint8_t operation, destination, first, second, third; /* third: added too */
    uint8_t first_half, second_half; /* 16 if only the high half is used, 1 if only the low half, else 0 */
    uint8_t shift, amount, amount_register; /* of second */
    uint8_t lsb, width;
    uint8_t covered, taken; /* choose: bytes of code, and a bit for each instruction that runs if the condition holds */
    uint8_t is_signed;      /* extract and load */
    uint8_t inverted;       /* second */
    uint8_t sets_flags;
    uint8_t jumps;          /* the value that it reads (or loads into r15) is the next pc */
    uint8_t access, size, alignment; /* bytes; alignment is the one that the core requires */
    uint8_t base, index, index_shift;
    uint8_t elements;       /* accesses to memory: one for each register; a double is one */
    uint8_t count;          /* registers that are moved, loaded or stored, one element each; choose: instructions */
    uint8_t watch;          /* enum watch */
    uint8_t reserves;       /* the first registers of a push or pop that only make room */
    uint8_t string;         /* enum string_function: the function that holds it */
    uint8_t status;         /* the register that an exclusive store sets to 0 if it has stored */
    uint8_t registers[32];
    uint32_t origin;             /* of the value that it last loaded: index into origins, or 0 */
    uint32_t findings[FINDINGS]; /* the findings here, by kind + state: index into findings + 1, or 0 */
};

/* All instructions that have run. */
struct instruction_table {
    struct instruction *instructions; /* the first element means no instruction, the second one a second half */
    uint32_t count, capacity;
    uint32_t unknown_address, unknown_size; /* of the block that Python has to describe */
    uint32_t **number_at;                   /* for each code region: the index of the instruction at each halfword */
};

#endif
