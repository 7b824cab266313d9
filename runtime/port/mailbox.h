/* How the harness and the firmware talk: through this struct, found by its symbol `emu_mailbox`, and a function at which the
 * harness stops. The harness can drive any firmware that has both. A product contains neither.
 *
 *     firmware: fills the struct, calls emu_yield() (the harness stops it there)
 *     harness:  writes rows of input and a command, resumes
 *     firmware: carries the command out, writes status and outputs, calls emu_yield() again
 */
#ifndef EMU_MAILBOX_H
#define EMU_MAILBOX_H

#include <stdint.h>

#define EMU_MAILBOX_MAGIC   0x584f424du /* "MBOX" */
#define EMU_MAILBOX_VERSION 1u

/* Commands are bits: a short sequence is one command with all three; a long sequence goes through the buffer in parts. */
enum {
    EMU_COMMAND_START  = 1u << 0, /* begin a sequence */
    EMU_COMMAND_STEP   = 1u << 1, /* take `rows` rows of input */
    EMU_COMMAND_FINISH = 1u << 2  /* write the outputs */
};

struct emu_mailbox {
    uint32_t magic;
    uint32_t version;
    uint32_t command;        /* harness -> firmware */
    uint32_t rows;           /* harness -> firmware */
    uint32_t status;         /* firmware -> harness: 0, or the firmware's own error code */
    uint32_t columns;        /* floats in an input row */
    uint32_t outputs;        /* floats of output */
    uint32_t input_address;  /* (input_floats) */
    uint32_t input_floats;   /* room for input_floats / columns rows */
    uint32_t output_address; /* (outputs) */
    uint32_t trace_address;  /* intermediate tensors of the last step, or 0 */
    uint32_t trace_floats;
};

extern struct emu_mailbox emu_mailbox;

/* The harness stops here, then resumes as if the function had returned. On silicon without a debugger it returns at once. */
void emu_yield(void);

#endif
