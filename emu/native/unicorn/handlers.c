/* What the probes note of exceptions: the stacks of their frames, the call path, and memory checking. */
#include "exception_parts.h"

/* The places of the words in a frame, after r0 to r3 (B1.5.6). */
enum { FRAME_R12 = 4, FRAME_LR, FRAME_PC, FRAME_WORDS = 8 };

#define SAVED_BYTES_MAX 256u /* more than all registers that a frame leaves out */

/* A bare machine measures nothing. */
static bool measures(const struct probe *probe) { return probe->code_region_count != 0; }

/* An exception is about to interrupt code at pc. */
void note_interrupted(struct probe *probe, uc_engine *uc, uint32_t pc)
{
    struct exceptions *exceptions = probe->exceptions;
    exceptions->frame = 0;
    exceptions->interrupted[exceptions->nesting++ % EXCEPTIONS] = (struct interrupted){
        .sp = read_register(probe, uc, UC_ARM_REG_SP),
        .pc = pc,
        .process = on_process_stack(probe, uc),
        .stack = probe->current_stack,
        .context = probe->context,
        .current_block = probe->current_block,
        .previous_block = probe->previous_block,
        .frame_count = probe->calls.frame_count,
        .path = probe->calls.current,
    };
    interrupt_calls(&probe->calls);
    probe->current_block = probe->previous_block = 0;
}

/* The frame of the exception that interrupts code at pc has been pushed. */
void note_pushed_frame(struct probe *probe, uc_engine *uc, uint32_t pc, uint32_t frame, bool floats)
{
    struct exceptions *exceptions = probe->exceptions;
    exceptions->frame = frame;
    exceptions->interrupted[(exceptions->nesting - 1) % EXCEPTIONS].frame = frame;
    if (floats)
        running(probe)->floats = 1;
    if (probe->shadow != NULL)
        shadow_push_frame(probe, uc, pc, frame, floats);
}

/* Note that a process stack is in use down to lowest, for an exception that has interrupted the stack's function. The
 * snapshot is the machine before the exception; its odd pc says that no instruction of the function has lowered SP. */
static void note_interrupted_stack(struct probe *probe, uc_engine *uc, const struct interrupted *interrupted,
                                   uint32_t lowest)
{
    struct stack *stack = &probe->stacks[interrupted->stack];
    uint32_t current = probe->current_stack, before = stack->latest_snapshot, words[FRAME_WORDS] = {0};
    probe->current_stack = interrupted->stack;
    note_frame(probe, uc, interrupted->pc | 1, interrupted->sp, lowest);
    if (probe->stop_reason != STOP_STACK_OVERFLOW)
        probe->current_stack = current;
    if (stack->latest_snapshot == before)
        return;
    struct snapshot *snapshot = &stack->snapshots[stack->latest_snapshot];
    snapshot->exception = read_register(probe, uc, UC_ARM_REG_IPSR) & IPSR_BITS;
    if (probe->api.mem_read(uc, interrupted->frame, words, sizeof words) != UC_ERR_OK)
        return;
    for (uint32_t i = 0; i < FRAME_R12; i++)
        snapshot->registers[i] = words[i];
    snapshot->registers[12] = words[FRAME_R12];
    snapshot->registers[14] = words[FRAME_LR];
    snapshot->registers[15] = words[FRAME_PC];
}

/* The core has gone to the handler, in which SP is MSP. The frame may lie on another stack. */
void note_handler(struct probe *probe, uc_engine *uc, uint32_t handler)
{
    struct exceptions *exceptions = probe->exceptions;
    const struct interrupted *interrupted = &exceptions->interrupted[(exceptions->nesting - 1) % EXCEPTIONS];
    uint32_t frame = exceptions->frame;
    exceptions->frame = 0;
    if (!measures(probe))
        return;
    if (frame != 0 && interrupted->process)
        note_interrupted_stack(probe, uc, interrupted, frame);
    else if (frame != 0)
        note_frame(probe, uc, handler, frame, frame);
    find_context(probe, uc);
    struct context *context = running(probe);
    context->entry = context->lowest = read_register(probe, uc, UC_ARM_REG_SP);
    if (probe->stop_reason == STOP_NONE)
        follow_stack(probe, uc, handler);
}

/* Code hook after each instruction that may save registers on a stack by another pointer than SP. If it has saved the
 * registers of the interrupted thread below the exception's frame, the stack is in use down to there. */
void probe_saved_registers(uc_engine *uc, uint64_t address, uint32_t size, void *user_data)
{
    struct probe *probe = user_data;
    const struct exceptions *exceptions = probe->exceptions;
    const struct interrupted *thread = &exceptions->interrupted[0];
    uint8_t code[4];
    (void)size;
    if (exceptions->nesting == 0 || !thread->process || thread->frame == 0 || thread->stack == 0 ||
        probe->api.mem_read(uc, address - sizeof code, code, sizeof code) != UC_ERR_OK)
        return;
    uint32_t base = code[0] & 0xfu;
    uint32_t lowest = base < 13 ? read_register(probe, uc, base < 12 ? UC_ARM_REG_R0 + (int)base : UC_ARM_REG_R12) : 0;
    if (lowest >= thread->frame || thread->frame - lowest > SAVED_BYTES_MAX)
        return;
    struct context *context = &probe->contexts[thread->stack];
    if (thread->frame - lowest > context->saved)
        context->saved = thread->frame - lowest;
    note_interrupted_stack(probe, uc, thread, lowest);
}

/* The core goes on at pc, after the frame has been popped. If another task goes on, its call path is not known. */
void note_return(struct probe *probe, uc_engine *uc, uint32_t pc, uint32_t frame, bool floats)
{
    struct exceptions *exceptions = probe->exceptions;
    if (exceptions->nesting == 0)
        return;
    const struct interrupted *interrupted = &exceptions->interrupted[--exceptions->nesting % EXCEPTIONS];
    bool same = interrupted->pc == pc && interrupted->sp == read_register(probe, uc, UC_ARM_REG_SP) &&
                interrupted->process == on_process_stack(probe, uc);
    probe->current_block = same ? interrupted->current_block : 0;
    probe->previous_block = same ? interrupted->previous_block : 0;
    resume_calls(&probe->calls, interrupted->frame_count, interrupted->path);
    if (probe->shadow != NULL)
        shadow_pop_frame(probe, frame, floats);
    if (measures(probe))
        follow_stack(probe, uc, pc);
}
