/* The firmware under test: the engine, one model image in flash, and the mailbox. */
#include "mailbox.h"
#include "mamba.h"
#include "trace.h"

/* Variables that exist only under test lie in a section of their own, so that they do not count as the product's RAM. */
#define UNDER_TEST __attribute__((section(".mailbox")))

extern const uint8_t model_image[], model_image_end[]; /* model.S */

static float arena[MODEL_ARENA_BYTES / sizeof(float)] __attribute__((aligned(MAMBA_ALIGNMENT)));
static mamba_model model;
static mamba_sequence sequence;

struct emu_mailbox emu_mailbox UNDER_TEST;
static float input[MAILBOX_INPUT_FLOATS] UNDER_TEST;
static float output[MODEL_OUTPUTS] UNDER_TEST;

#ifndef __linux__ /* on Linux the harness is another process: runtime/port/host/harness.c has emu_yield() */
__attribute__((noinline)) void emu_yield(void) { __asm__ volatile("" ::: "memory"); }
#endif

#ifdef MAMBA_TRACE
/* One step's tensors of all blocks: linear_in, then for each block the others in the order of enum mamba_traced. */
static float trace[MAILBOX_TRACE_FLOATS] UNDER_TEST;

static const uint32_t trace_widths[] = MAMBA_TRACE_WIDTHS; /* by enum mamba_traced */

void mamba_trace(enum mamba_traced tensor, uint32_t block, uint32_t first, const float *values, uint32_t count)
{
    uint32_t start = 0, block_floats = 0;
    for (uint32_t i = MAMBA_TRACE_LINEAR_IN + 1; i <= MAMBA_TRACE_OUTPUT; i++) {
        if (i < tensor) start += trace_widths[i];
        block_floats += trace_widths[i];
    }
    if (tensor != MAMBA_TRACE_LINEAR_IN) start += trace_widths[MAMBA_TRACE_LINEAR_IN] + block * block_floats;
    for (uint32_t i = 0; i < count; i++) trace[start + first + i] = values[i];
}
#endif

static mamba_status carry_out(uint32_t command, uint32_t rows)
{
    mamba_status status = MAMBA_OK;
    if (command & EMU_COMMAND_START) status = mamba_start(&sequence, &model, arena, sizeof arena);
    if (status != MAMBA_OK) return status;
    for (uint32_t row = 0; (command & EMU_COMMAND_STEP) && row < rows; row++) {
        mamba_step(&sequence, input + row * model.n_features);
    }
    return command & EMU_COMMAND_FINISH ? mamba_finish(&sequence, output) : MAMBA_OK;
}

int main(void)
{
    const mamba_status opened = mamba_open(&model, model_image, (size_t)(model_image_end - model_image));
    emu_mailbox.magic = EMU_MAILBOX_MAGIC;
    emu_mailbox.version = EMU_MAILBOX_VERSION;
    emu_mailbox.status = opened;
    emu_mailbox.columns = opened == MAMBA_OK ? model.n_features : 0;
    emu_mailbox.outputs = opened == MAMBA_OK ? model.n_outputs : 0;
    emu_mailbox.input_address = (uint32_t)(uintptr_t)input;
    emu_mailbox.input_floats = MAILBOX_INPUT_FLOATS;
    emu_mailbox.output_address = (uint32_t)(uintptr_t)output;
#ifdef MAMBA_TRACE
    emu_mailbox.trace_address = (uint32_t)(uintptr_t)trace;
    emu_mailbox.trace_floats = MAILBOX_TRACE_FLOATS;
#else
    emu_mailbox.trace_address = 0;
    emu_mailbox.trace_floats = 0;
#endif
    for (;;) {
        emu_yield();
        emu_mailbox.status = opened == MAMBA_OK ? carry_out(emu_mailbox.command, emu_mailbox.rows) : opened;
    }
}
