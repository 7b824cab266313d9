/* What the probes note when an exception begins and ends: the stack of its frame, the call path, and memory checking. */
#include "exception_parts.h"

#define FRAME_LR 20u /* bytes from a frame's start to the stacked LR (B1.5.6) */

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
    probe->exceptions->frame = frame;
    if (probe->shadow != NULL)
        shadow_push_frame(probe, uc, pc, frame, floats);
}

/* Note the frame on the process stack, which belongs to the interrupted function. An odd pc in the snapshot says that no
 * instruction has lowered SP. */
static void note_process_frame(struct probe *probe, uc_engine *uc, uint32_t frame)
{
    const struct exceptions *exceptions = probe->exceptions;
    const struct interrupted *interrupted = &exceptions->interrupted[(exceptions->nesting - 1) % EXCEPTIONS];
    struct stack *stack = &probe->stacks[probe->current_stack];
    uint32_t before = stack->latest_snapshot;
    note_stack_at(probe, uc, interrupted->pc | 1, interrupted->sp, frame);
    if (stack->latest_snapshot == before)
        return;
    uint32_t *registers = stack->snapshots[stack->latest_snapshot].registers;
    probe->api.mem_read(uc, frame + FRAME_LR, &registers[14], sizeof registers[14]);
    registers[15] = interrupted->pc;
}

/* The core has gone to the handler, in which SP is MSP. The frame may lie on another stack. */
void note_handler(struct probe *probe, uc_engine *uc, uint32_t handler)
{
    struct exceptions *exceptions = probe->exceptions;
    uint32_t frame = exceptions->frame;
    exceptions->frame = 0;
    if (!measures(probe))
        return;
    if (frame != 0 && exceptions->interrupted[(exceptions->nesting - 1) % EXCEPTIONS].process)
        note_process_frame(probe, uc, frame);
    else if (frame != 0)
        note_stack_at(probe, uc, handler, frame, frame);
    if (probe->stop_reason == STOP_NONE)
        follow_stack(probe, uc, handler);
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
