/* The core's exceptions, as the Armv7-M Architecture Reference Manual (DDI 0403E) has them. The comments name its
 * sections. emu/native/unicorn/exceptions.py mirrors `struct exceptions`. */
#ifndef EMU_EXCEPTIONS_H
#define EMU_EXCEPTIONS_H

#include <stdbool.h>
#include <stdint.h>

/* Exception numbers (B1.5.2). */
enum exception {
    NO_EXCEPTION, RESET, NMI, HARD_FAULT, MEM_MANAGE, BUS_FAULT, USAGE_FAULT,
    SV_CALL = 11, DEBUG_MONITOR, PEND_SV = 14, SYS_TICK, FIRST_INTERRUPT
};

#define INTERRUPTS 240u /* the most that the NVIC can have (B3.4) */
#define MPU_REGIONS 16u
#define EXCEPTIONS (FIRST_INTERRUPT + INTERRUPTS)

/* Memory of the board; a frame can be pushed to writable memory, and a handler lies in executable memory. */
struct memory_range {
    uint32_t start, end, writable, executable;
};

/* The machine that an exception has interrupted, for the probes: index into blocks, and into the call tree. */
struct interrupted {
    uint32_t sp, pc, process;
    uint32_t stack, context; /* index into stacks, and into contexts */
    uint32_t frame;          /* the lowest address of what has been pushed for the exception */
    uint32_t current_block, previous_block;
    uint32_t frame_count, path;
};

/* SysTick (B3.3); its clock counts retired instructions. */
struct systick {
    uint32_t control, reload, value;
    uint64_t since; /* the time at which the counter had this value */
};

struct exceptions {
    /* What the board and the firmware say. */
    uint32_t cpuid;
    uint64_t range_count;
    const struct memory_range *ranges;
    uint64_t function_count;
    const uint32_t *functions; /* sorted first addresses; without symbols there are none */

    /* Unicorn's place for registers that its interface does not show (core_state.c). */
    void *context;          /* of uc_context_alloc */
    uint32_t context_at;    /* byte offset of BASEPRI in it; 0 until it is known */
    uint32_t context_bytes;

    /* The NVIC, by exception number. */
    uint8_t priority[EXCEPTIONS], enabled[EXCEPTIONS], pending[EXCEPTIONS], active[EXCEPTIONS];
    uint32_t pending_count;

    struct systick systick;
    uint64_t idle; /* time that has passed without instructions, in WFI and WFE */
    uint32_t event; /* the event register (B1.5.18) */

    /* The system control block (B3.2). */
    uint32_t vtor, priority_group, scr, ccr, shcsr_enables;
    uint32_t cfsr, hfsr, dfsr, mmfar, bfar, afsr, cpacr, demcr, csselr;
    uint32_t others[6]; /* registers that only keep their value: ACTLR, ITCMCR, DTCMCR, AHBPCR, CACR, AHBSCR */
    uint32_t mpu_control, mpu_region, mpu_base[MPU_REGIONS], mpu_attributes[MPU_REGIONS];

    /* The last exception that could not be taken, for Python. */
    uint32_t refused, refused_vector;
    uint32_t unprivileged_access; /* an address in the system control space that unprivileged code has accessed; 0 */

    /* Bits of CCR whose hooks are there; and what they have found: a bit of CFSR, and a store that is to be undone. */
    uint32_t traps, trap, trap_address, trap_stored;
    uint8_t trap_old[8];

    uint32_t frame; /* of the exception that is being taken; 0 if it has pushed none */
    uint32_t nesting;
    struct interrupted interrupted[EXCEPTIONS];
};

#endif
