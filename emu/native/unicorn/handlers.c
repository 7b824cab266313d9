/* What the probes note when an exception begins and ends: the stack of its frame, the call path, and memory checking. */
#include "exception_parts.h"

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

/* The core has gone to the handler, in which SP is MSP. The frame may lie on another stack. */
void note_handler(struct probe *probe, uc_engine *uc, uint32_t handler)
{
    uint32_t frame = probe->exceptions->frame;
    probe->exceptions->frame = 0;
    if (!measures(probe))
        return;
    if (frame != 0)
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
