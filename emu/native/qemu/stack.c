/* The lowest SP of each stack and of each interval, and the machine at that moment. */
#include "parts.h"

enum { SPSEL = 2, FPCA = 4 };  /* of CONTROL (Armv7-M, B1.4.4) */
enum { RETURN_WITH_PSP = 4, RETURN_BASIC_FRAME = 16 }; /* of EXC_RETURN (B1.5.8) */
enum { SAVED_BYTES_MAX = 256 }; /* more than all registers that an exception's frame leaves out */

static uint32_t interval_lowest; /* in the current interval */
static bool below_heap_end;      /* whether SP was, at the last look */

static uint32_t exception, process;          /* the core's, at the last look */
static uint32_t nested[EXCEPTIONS], nesting; /* the active exceptions, innermost last */
static uint32_t interrupted;                 /* the stack of the thread that they have interrupted */
static uint32_t frame;                       /* on that stack if PSP is its pointer, or 0 */
static bool frame_has_floats;

static struct stack *stack_of(uint32_t index) { return &plugin.shared->stacks[index]; }

uint32_t running(void) { return exception != 0 ? MOST_STACKS + exception : plugin.shared->current_stack; }

uint32_t running_thread(void) { return exception != 0 ? interrupted : plugin.shared->current_stack; }

void note_floats(void) { plugin.shared->contexts[running()].floats = 1; }

void start_stack(void)
{
    struct stack *stack = stack_of(RESET_STACK);
    plugin.shared->stack_count = RESET_STACK + 1;
    plugin.shared->current_stack = RESET_STACK;
    stack->top = stack->lowest.sp = plugin.shared->contexts[RESET_STACK].lowest = plugin.stack_top;
    stack->limit = plugin.stack_floor;
    plugin.shared->last_sp = interval_lowest = plugin.stack_top;
    plugin.shared->timeline = (struct timeline){
        .lowest = plugin.shared->intervals, .capacity = INTERVALS, .length = plugin.first_interval};
}

static void note_departure(uint32_t sp, uint32_t pc)
{
    uint32_t bytes;
    if (memory_at(sp - 1, &bytes) != NULL) return;
    struct departure *departure = &plugin.shared->departure;
    departure->sp = sp;
    departure->pc = pc;
    plugin.core->capture(departure->registers);
}

/* ---- the stack of a core whose stacks are not followed ----------------------------------------------------------- */

static void note_meetings(uint32_t from, uint32_t sp, uint32_t lowered_at, uint32_t pc)
{
    if ((sp < plugin.shared->heap.end) == below_heap_end) return;
    below_heap_end = !below_heap_end;
    if (below_heap_end && sp >= plugin.stack_floor) note_meeting(from, lowered_at, pc);
}

static void note_in_interval(uint32_t sp)
{
    struct shared *shared = plugin.shared;
    if (sp >= interval_lowest) return;
    interval_lowest = sp;
    if (shared->timeline.count > 0) shared->intervals[shared->timeline.count - 1] = sp;
}

static void look_at_only_stack(uint32_t from, uint32_t sp, uint32_t lowered_at, uint32_t pc)
{
    note_meetings(from, sp, lowered_at, pc);
    if (sp >= interval_lowest && sp <= plugin.stack_top) return;
    if (sp < plugin.stack_floor || sp > plugin.stack_top) {
        plugin.shared->off_stack = true;
        if (sp != from) note_departure(sp, pc);
        return;
    }
    note_in_interval(sp);
    struct stack *stack = stack_of(RESET_STACK);
    if (sp < stack->lowest.sp) write_down(&stack->lowest, stack, lowered_at, pc);
}

/* ---- threads and handlers of a Cortex-M -------------------------------------------------------------------------- */

static void overflow(uint32_t index, uint32_t pc)
{
    if (index == RESET_STACK) return; /* found when it leaves the memory, or at the end */
    plugin.shared->overflowed = index;
    stop_machine(pc);
}

/* Notes that the stack of the interrupted thread is in use from `lowest` on. */
static void note_interrupted_stack(uint32_t lowest, uint32_t pc)
{
    struct stack *stack = stack_of(interrupted);
    if (interrupted == 0 || lowest >= stack->lowest.sp) return;
    struct lowest *machine = &stack->lowest;
    machine->sp = lowest;
    machine->pc = plugin.core->capture_interrupted(machine->registers, frame, frame_has_floats);
    machine->lowered_at = machine->pc | 1;
    machine->exception = exception;
    keep_stack(machine, stack, frame);
    if (lowest < stack->limit) overflow(interrupted, pc);
}

void note_saved_registers(uint32_t lowest)
{
    if (exception == 0 || frame == 0 || lowest >= frame || frame - lowest > SAVED_BYTES_MAX) return;
    struct context *context = &plugin.shared->contexts[interrupted];
    if (frame - lowest > context->saved) context->saved = frame - lowest;
    note_interrupted_stack(lowest, 0);
}

static void leave_handler(uint32_t number)
{
    struct context *handler = &plugin.shared->contexts[MOST_STACKS + number];
    if (handler->entry - handler->lowest > handler->depth) handler->depth = handler->entry - handler->lowest;
}

/* The core has begun the handler of another exception: in a thread, in a handler, or right after one. */
static void enter_handler(uint32_t number, uint32_t sp, uint32_t pc)
{
    struct context *contexts = plugin.shared->contexts, *handler = &contexts[MOST_STACKS + number];
    const uint32_t link = plugin.core->link(pc);
    const bool follows = nesting > 0 && contexts[MOST_STACKS + nested[nesting - 1]].entry == sp; /* no new frame */
    if (follows) leave_handler(nested[--nesting]);
    const bool floats = (link & RETURN_BASIC_FRAME) == 0;
    if (nesting == 0) {
        frame = link & RETURN_WITH_PSP ? *plugin.process_sp : 0;
        frame_has_floats = floats;
        if (!follows) interrupted = plugin.shared->current_stack;
        else if (frame != 0) { /* the handler before may have changed the thread */
            interrupted = plugin.shared->stack_count - 1;
            while (interrupted > 0 && (!stack_of(interrupted)->process || frame > stack_of(interrupted)->top ||
                                       frame < stack_of(interrupted)->limit)) interrupted--;
        }
        if (floats && !follows) contexts[interrupted].floats = 1;
    } else if (floats) {
        contexts[MOST_STACKS + nested[nesting - 1]].floats = 1;
    }
    nested[nesting++] = exception = number;
    handler->entry = handler->lowest = sp;
    if (nesting == 1 && frame != 0) note_interrupted_stack(frame, pc);
}

/* IPSR has changed: a handler has begun or ended. */
static void change_context(uint32_t number, uint32_t sp, uint32_t pc)
{
    uint32_t at = nesting;
    while (at > 0 && nested[at - 1] != number) at--;
    if (number != 0 && at == 0) {
        enter_handler(number, sp, pc);
        return;
    }
    while (nesting > at) leave_handler(nested[--nesting]);
    exception = number;
}

/* An SP below a stack's lowest may belong to another stack, in memory that was free until now. */
static bool explains(const struct stack *stack, uint32_t sp)
{
    return stack->process == process && sp <= stack->top && sp >= stack->limit && sp >= stack->lowest.sp;
}

static void find_stack(uint32_t from, uint32_t sp, uint32_t pc)
{
    struct shared *shared = plugin.shared;
    if (explains(stack_of(shared->current_stack), sp)) return;
    for (uint32_t i = shared->stack_count; i-- > 0;) {
        if (!explains(stack_of(i), sp)) continue;
        shared->current_stack = i;
        return;
    }
    shared->asked_sp = sp;
    shared->asked_process = process;
    wait_for_python();
    if (shared->current_stack != 0) return;
    *stack_of(0) = (struct stack){.process = process, .top = sp, .limit = sp}; /* Python is not asked again */
    if (sp != from) note_departure(sp, pc);
}

static void look_at_stacks(uint32_t from, uint32_t sp, uint32_t lowered_at, uint32_t pc, bool anew)
{
    struct shared *shared = plugin.shared;
    const uint32_t number = *plugin.exception;
    if (number != exception) {
        change_context(number, sp, pc);
        anew |= number == 0; /* a handler that preempts another one stays on the main stack */
    }
    const uint32_t on_process = number == 0 && (*plugin.control & SPSEL) != 0;
    if (anew || on_process != process || sp > stack_of(shared->current_stack)->top) {
        process = on_process;
        find_stack(from, sp, pc);
    }
    struct context *context = &shared->contexts[running()];
    if (sp < context->lowest) context->lowest = sp;
    if (plugin.control[1] & FPCA) context->floats = 1; /* QEMU keeps this bit in the secure CONTROL */
    struct stack *stack = stack_of(shared->current_stack);
    if (shared->current_stack == RESET_STACK) {
        note_meetings(from, sp, lowered_at, pc);
        note_in_interval(sp);
    }
    if (sp >= stack->lowest.sp) return;
    if (shared->current_stack == RESET_STACK && sp < plugin.stack_floor) {
        if (sp != from) note_departure(sp, pc);
        return;
    }
    write_down(&stack->lowest, stack, lowered_at, pc);
    if (sp < stack->limit) overflow(shared->current_stack, pc);
}

/* ---- each look --------------------------------------------------------------------------------------------------- */

void look_at_sp(uint32_t lowered_at, uint32_t pc, bool anew)
{
    if (*plugin.status & plugin.status_bits && !plugin.core->has_stack()) return;
    const uint32_t sp = *plugin.sp, from = plugin.shared->last_sp;
    plugin.shared->last_sp = sp;
    if (plugin.exception != NULL) look_at_stacks(from, sp, lowered_at, pc, anew);
    else look_at_only_stack(from, sp, lowered_at, pc);
}

void next_interval(void)
{
    const uint32_t last_sp = plugin.shared->last_sp;
    const bool on_it = plugin.shared->current_stack == RESET_STACK && last_sp >= plugin.stack_floor;
    interval_lowest = on_it && last_sp < plugin.stack_top ? last_sp : plugin.stack_top;
    begin_interval(&plugin.shared->timeline, plugin.shared->instructions, interval_lowest);
}
