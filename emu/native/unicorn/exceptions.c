/* Exception entry and return (DDI 0403E, B1.5.6 to B1.5.8), and when an exception is taken.
 *
 * A pending exception is taken before the next block of straight-line code. ISB, CPS and MSR end a block, so the
 * sequences that the manual gives for barriers work as it says (B3.2.3, A3.7.3). */
#include "exception_parts.h"

#define CONTEXT_WORDS 8u       /* r0 to r3, r12, lr, the return address and xPSR */
#define BASIC_FRAME 0x20u
#define EXTENDED_FRAME 0x68u
#define FLOATS_AT 0x20u        /* s0 to s15, FPSCR, and a word that nothing writes */
#define FPSCR_AT 0x60u

#define XPSR_ALIGNED (1u << 9) /* in a frame: SP was moved by 4 to align it */
#define XPSR_IT 0x0600fc00u
#define XPSR_T (1u << 24)

/* EXC_RETURN (B1.5.8). */
#define EXC_RETURN 0xffffffe1u
#define RETURN_BASIC_FRAME 0x10u
#define RETURN_TO_THREAD 8u
#define RETURN_WITH_PSP 4u

size_t exceptions_size(void) { return sizeof(struct exceptions); }

static const int stacked[] = {UC_ARM_REG_R0, UC_ARM_REG_R1,  UC_ARM_REG_R2,
                              UC_ARM_REG_R3, UC_ARM_REG_R12, UC_ARM_REG_LR};

static uint32_t thumb_bit(const struct probe *probe, uc_engine *uc)
{
    return read_register(probe, uc, UC_ARM_REG_EPSR) & XPSR_T ? 1 : 0;
}

/* ---- memory ---- */

static const struct memory_range *range_at(const struct exceptions *exceptions, uint32_t address)
{
    for (uint64_t i = 0; i < exceptions->range_count; i++)
        if (address >= exceptions->ranges[i].start && address < exceptions->ranges[i].end)
            return &exceptions->ranges[i];
    return NULL;
}

/* Whether one memory of the board holds all the bytes. */
bool range_holds(const struct exceptions *exceptions, uint32_t address, uint32_t bytes, bool writable)
{
    const struct memory_range *range = range_at(exceptions, address);
    return range != NULL && (range->writable || !writable) && range->end - address >= bytes;
}

static bool write_words(struct probe *probe, uc_engine *uc, uint32_t address, const uint32_t *words, uint32_t count)
{
    return range_holds(probe->exceptions, address, 4 * count, true) &&
           probe->api.mem_write(uc, address, words, 4 * count) == UC_ERR_OK;
}

static bool read_words(const struct probe *probe, uc_engine *uc, uint32_t address, uint32_t *words, uint32_t count)
{
    return probe->api.mem_read(uc, address, words, 4 * count) == UC_ERR_OK;
}

/* ---- handlers ---- */

static bool begins_function(const struct exceptions *exceptions, uint32_t address)
{
    uint64_t first = 0, end = exceptions->function_count;
    while (first < end) {
        uint64_t middle = first + (end - first) / 2;
        if (exceptions->functions[middle] < address)
            first = middle + 1;
        else
            end = middle;
    }
    return exceptions->function_count == 0 ||
           (first < exceptions->function_count && exceptions->functions[first] == address);
}

/* The entry of the exception's handler; 0 if the firmware has none.
 *
 * The vector must be a Thumb address in memory for code. A handler of a fault must also begin a function, as firmware
 * without handlers often has code at the end of a short table, and must not be an endless loop: emu reports the fault
 * itself then. */
static uint32_t handler_of(const struct probe *probe, uc_engine *uc, uint32_t number)
{
    struct exceptions *exceptions = probe->exceptions;
    uint32_t vector = 0, code = 0;
    bool readable = read_words(probe, uc, exceptions->vtor + 4 * number, &vector, 1);
    const struct memory_range *range = range_at(exceptions, vector);
    exceptions->refused = number;
    exceptions->refused_vector = readable ? vector : 0;
    if (!readable || (vector & 1) == 0 || range == NULL || !range->executable)
        return 0;
    if (number <= USAGE_FAULT) {
        probe->api.mem_read(uc, vector & ~1u, &code, 2);
        if (code == ENDLESS_LOOP || !begins_function(exceptions, vector & ~1u))
            return 0;
    }
    return vector & ~1u;
}

/* ---- entry ---- */

/* PC and mode have changed: Unicorn leaves the code that it has translated, and probe_run starts it again. */
static void go_on(struct probe *probe, uc_engine *uc)
{
    if (probe->stop_reason == STOP_NONE)
        stop(probe, uc, STOP_RESTART);
}

static void set_control(const struct probe *probe, uc_engine *uc, uint32_t control)
{
    write_register(probe, uc, UC_ARM_REG_CONTROL, control);
}

/* UpdateFPCCR() of B1.5.7: note where the FPU's registers will go on the first floating-point instruction. */
static void reserve_floats(struct probe *probe, uc_engine *uc, uint32_t frame)
{
    const struct exceptions *exceptions = probe->exceptions;
    struct masks masks = read_masks(probe, uc);
    int32_t priority = execution_priority(exceptions, &masks);
    uint32_t words[CORE_WORDS], state = FPCCR_LSPACT;
    if (is_unprivileged(probe, uc))
        state |= FPCCR_USER;
    if ((read_register(probe, uc, UC_ARM_REG_IPSR) & IPSR_BITS) == 0)
        state |= FPCCR_THREAD;
    if (priority > -1)
        state |= FPCCR_HFRDY;
    if (exceptions->shcsr_enables & SHCSR_BUSFAULTENA && priority > priority_of(exceptions, BUS_FAULT))
        state |= FPCCR_BFRDY;
    if (exceptions->shcsr_enables & SHCSR_MEMFAULTENA && priority > priority_of(exceptions, MEM_MANAGE))
        state |= FPCCR_MMRDY;
    if (exceptions->demcr & DEMCR_MON_EN && priority > priority_of(exceptions, DEBUG_MONITOR))
        state |= FPCCR_MONRDY;
    read_core_words(probe, uc, words);
    words[CORE_FPCCR] = (words[CORE_FPCCR] & (FPCCR_LSPEN | FPCCR_ASPEN)) | state;
    words[CORE_FPCAR] = frame + FLOATS_AT;
    write_core_words(probe, uc, words);
}

static bool push_floats(struct probe *probe, uc_engine *uc, uint32_t frame)
{
    uint32_t floats[17], words[CORE_WORDS];
    read_core_words(probe, uc, words);
    if (words[CORE_FPCCR] & FPCCR_LSPEN) {
        reserve_floats(probe, uc, frame);
        return true;
    }
    for (int i = 0; i < 16; i++)
        floats[i] = read_register(probe, uc, UC_ARM_REG_S0 + i);
    floats[16] = read_register(probe, uc, UC_ARM_REG_FPSCR);
    return write_words(probe, uc, frame + FLOATS_AT, floats, 17);
}

/* PushStack() of B1.5.6; returns EXC_RETURN, or 0 if there is no memory at SP. */
static uint32_t push(struct probe *probe, uc_engine *uc, uint32_t pc)
{
    struct exceptions *exceptions = probe->exceptions;
    uint32_t control = read_register(probe, uc, UC_ARM_REG_CONTROL);
    uint32_t xpsr = read_register(probe, uc, UC_ARM_REG_XPSR);
    uint32_t sp = read_register(probe, uc, UC_ARM_REG_SP) & ~3u;
    bool floats = (control & CONTROL_FPCA) != 0, thread = (xpsr & IPSR_BITS) == 0;
    bool aligns = floats || (exceptions->ccr & CCR_STKALIGN) != 0;
    bool moved = aligns && (sp & 4) != 0;
    uint32_t frame = (sp - (floats ? EXTENDED_FRAME : BASIC_FRAME)) & ~(aligns ? 4u : 0u);
    uint32_t words[CONTEXT_WORDS];
    for (uint32_t i = 0; i < 6; i++)
        words[i] = read_register(probe, uc, stacked[i]);
    words[6] = pc;
    words[7] = (xpsr & ~XPSR_ALIGNED) | (moved ? XPSR_ALIGNED : 0);
    if (!write_words(probe, uc, frame, words, CONTEXT_WORDS) || (floats && !push_floats(probe, uc, frame)))
        return 0;
    note_pushed_frame(probe, uc, pc, frame, floats);
    write_register(probe, uc, UC_ARM_REG_SP, frame);
    uint32_t value = EXC_RETURN | (floats ? 0 : RETURN_BASIC_FRAME) | (thread ? RETURN_TO_THREAD : 0);
    return value | (thread && control & CONTROL_SPSEL ? RETURN_WITH_PSP : 0);
}

/* ExceptionTaken() of B1.5.6. CONTROL.nPRIV stays, SPSEL and FPCA become 0. */
static void enter(struct probe *probe, uc_engine *uc, uint32_t number, uint32_t handler, uint32_t exc_return)
{
    struct exceptions *exceptions = probe->exceptions;
    uint32_t control = read_register(probe, uc, UC_ARM_REG_CONTROL);
    write_register(probe, uc, UC_ARM_REG_IPSR, number); /* Handler mode, which has the privilege to write CONTROL */
    if (control & CONTROL_SPSEL) { /* only privileged Thread mode can write it */
        set_control(probe, uc, CONTROL_SPSEL);
        write_register(probe, uc, UC_ARM_REG_IPSR, NO_EXCEPTION);
        set_control(probe, uc, 0);
        write_register(probe, uc, UC_ARM_REG_IPSR, number);
    }
    set_control(probe, uc, control & CONTROL_NPRIV);
    write_register(probe, uc, UC_ARM_REG_EPSR, XPSR_T);
    write_register(probe, uc, UC_ARM_REG_LR, exc_return);
    exceptions->active[number] = 1;
    clear_pending(exceptions, number);
    exceptions->event = 1;
    rebuild_flags(probe, uc);
    write_register(probe, uc, UC_ARM_REG_PC, handler | 1);
    look_for_exceptions(probe);
    note_handler(probe, uc, handler);
    go_on(probe, uc);
}

/* Take an exception that interrupts code at pc; false if it has no handler, or if its frame cannot be pushed. */
static bool take(struct probe *probe, uc_engine *uc, uint32_t number, uint32_t pc)
{
    uint32_t handler = handler_of(probe, uc, number);
    if (handler == 0)
        return false;
    note_interrupted(probe, uc, pc);
    uint32_t exc_return = push(probe, uc, pc);
    if (exc_return == 0) {
        probe->exceptions->nesting--;
        probe->exceptions->cfsr |= CFSR_STKERR;
        return false;
    }
    enter(probe, uc, number, handler, exc_return);
    return true;
}

/* ---- when ---- */

/* Something may have become pending, or able to preempt: look before the next block. */
void look_for_exceptions(struct probe *probe) { probe->event_at = 0; }

/* The pending exception that is taken now, or 0. */
static uint32_t preempting(const struct exceptions *exceptions, const struct masks *masks)
{
    uint32_t number = first_pending(exceptions);
    if (number == NO_EXCEPTION)
        return NO_EXCEPTION;
    bool can = group_priority_of(exceptions, number) < execution_priority(exceptions, masks);
    return can ? number : NO_EXCEPTION;
}

/* Set the time of the next look. An exception that only the masks hold back is looked for before every block, as code
 * changes the masks without notice. */
static void schedule(struct probe *probe)
{
    const struct exceptions *exceptions = probe->exceptions;
    uint32_t number = first_pending(exceptions);
    uint64_t next = systick_next(exceptions);
    probe->event_at = next == UINT64_MAX ? next : next - exceptions->idle;
    if (number != NO_EXCEPTION &&
        group_priority_of(exceptions, number) < active_priority(exceptions))
        probe->event_at = 0;
    if (mpu_is_on(exceptions))
        probe->event_at = 0;
}

/* Whether the MPU lets the core execute at pc; if not, the engine stops. */
static bool may_fetch(struct probe *probe, uc_engine *uc, uint32_t pc)
{
    if (mpu_allows(probe, uc, pc, MPU_FETCH))
        return true;
    probe->exceptions->trap = CFSR_IACCVIOL;
    probe->exceptions->trap_address = pc;
    stop(probe, uc, STOP_NONE);
    return false;
}

/* A block is about to run at pc: true if an exception is taken instead, or if the engine stops. */
bool exception_before(struct probe *probe, uc_engine *uc, uint32_t pc)
{
    struct exceptions *exceptions = probe->exceptions;
    systick_advance(probe);
    schedule(probe);
    if (exceptions->pending_count == 0)
        return !may_fetch(probe, uc, pc);
    struct masks masks = read_masks(probe, uc);
    uint32_t number = preempting(exceptions, &masks);
    if (number == NO_EXCEPTION)
        return !may_fetch(probe, uc, pc);
    if (!take(probe, uc, number, pc)) {
        look_for_exceptions(probe);
        stop(probe, uc, STOP_NO_HANDLER);
    }
    return true;
}

/* Take a synchronous exception, a fault or SVC, at pc, with the bits that it sets in CFSR and HFSR. It escalates to
 * HardFault if it is off or cannot preempt (B1.5.13). Returns what Python is to do. */
uint32_t probe_take_exception(struct probe *probe, uc_engine *uc, uint32_t number, uint32_t pc, uint32_t cfsr,
                              uint32_t hfsr)
{
    struct exceptions *exceptions = probe->exceptions;
    struct masks masks = read_masks(probe, uc);
    int32_t priority = execution_priority(exceptions, &masks);
    uint32_t wanted = number;
    if (cfsr & (CFSR_UNALIGNED | CFSR_DACCVIOL) && exceptions->trap_stored != 0)
        probe->api.mem_write(uc, exceptions->trap_address, exceptions->trap_old, exceptions->trap_stored);
    bool off = (number == MEM_MANAGE && (exceptions->shcsr_enables & SHCSR_MEMFAULTENA) == 0) ||
               (number == BUS_FAULT && (exceptions->shcsr_enables & SHCSR_BUSFAULTENA) == 0) ||
               (number == USAGE_FAULT && (exceptions->shcsr_enables & SHCSR_USGFAULTENA) == 0);
    if (off || group_priority_of(exceptions, number) >= priority) {
        hfsr |= number != HARD_FAULT ? HFSR_FORCED : 0;
        wanted = HARD_FAULT;
    }
    if (wanted == HARD_FAULT && priority <= -1)
        return exceptions->active[HARD_FAULT] || exceptions->active[NMI] || masks.faultmask ? TAKE_LOCKS_UP
                                                                                             : TAKE_NO_HANDLER;
    if (handler_of(probe, uc, wanted) == 0)
        return TAKE_NO_HANDLER;
    exceptions->cfsr |= cfsr;
    exceptions->hfsr |= hfsr;
    if (cfsr & CFSR_MMARVALID)
        exceptions->mmfar = exceptions->trap_address;
    return take(probe, uc, wanted, pc) ? TAKE_TAKEN : TAKE_NO_HANDLER;
}

/* SVC (B1.5.2): the address after the instruction returns. */
static void supervisor_call(struct probe *probe, uc_engine *uc)
{
    uint32_t pc = read_register(probe, uc, UC_ARM_REG_PC);
    if (probe_take_exception(probe, uc, SV_CALL, pc, 0, 0) != TAKE_TAKEN) {
        probe->exception = EXCP_SWI;
        stop(probe, uc, STOP_NONE);
    }
}

/* ---- return ---- */

static void pop_floats(struct probe *probe, uc_engine *uc, uint32_t frame)
{
    uint32_t floats[17], words[CORE_WORDS];
    read_core_words(probe, uc, words);
    if (words[CORE_FPCCR] & FPCCR_LSPACT) { /* the registers still have their values */
        words[CORE_FPCCR] &= ~FPCCR_LSPACT;
        write_core_words(probe, uc, words);
        return;
    }
    if (!read_words(probe, uc, frame + FLOATS_AT, floats, 17))
        return;
    for (int i = 0; i < 16; i++)
        write_register(probe, uc, UC_ARM_REG_S0 + i, floats[i]);
    write_register(probe, uc, UC_ARM_REG_FPSCR, floats[16]);
}

/* Whether EXC_RETURN is legal now, before its frame is known (B1.5.8). */
static bool is_legal(const struct exceptions *exceptions, uint32_t exc_return, uint32_t returning)
{
    uint32_t actives = 0;
    for (uint32_t number = NMI; number < EXCEPTIONS; number++)
        actives += exceptions->active[number];
    if (!exceptions->active[returning] || (exc_return | 0x1f) != UINT32_MAX)
        return false;
    bool base = actives == 1;
    switch (exc_return & 0xf) {
    case 1: return !base;
    case 9:
    case 0xd: return base || (exceptions->ccr & CCR_NONBASETHRDENA) != 0;
    default: return false;
    }
}

/* The exception return is illegal: a UsageFault is taken instead, without another frame (B1.5.8). */
static void refuse_return(struct probe *probe, uc_engine *uc, uint32_t exc_return)
{
    struct exceptions *exceptions = probe->exceptions;
    struct masks masks = read_masks(probe, uc);
    int32_t priority = execution_priority(exceptions, &masks);
    bool on = (exceptions->shcsr_enables & SHCSR_USGFAULTENA) != 0;
    uint32_t number = on && group_priority_of(exceptions, USAGE_FAULT) < priority ? USAGE_FAULT : HARD_FAULT;
    uint32_t handler = number == HARD_FAULT && priority <= -1 ? 0 : handler_of(probe, uc, number);
    if (handler == 0) {
        probe->exception = EXCP_EXCEPTION_EXIT;
        stop(probe, uc, STOP_NONE);
        return;
    }
    exceptions->cfsr |= CFSR_INVPC;
    exceptions->hfsr |= number == HARD_FAULT ? HFSR_FORCED : 0;
    enter(probe, uc, number, handler, (exc_return & 0x0fffffff) | 0xf0000000);
}

/* The core leaves Handler mode, or goes back to the handler that was interrupted. */
static void restore(struct probe *probe, uc_engine *uc, uint32_t exc_return, const uint32_t *words, uint32_t sp)
{
    bool thread = (exc_return & RETURN_TO_THREAD) != 0, floats = (exc_return & RETURN_BASIC_FRAME) == 0;
    uint32_t control = read_register(probe, uc, UC_ARM_REG_CONTROL) & CONTROL_NPRIV;
    control |= floats ? CONTROL_FPCA : 0;
    for (uint32_t i = 0; i < 6; i++)
        write_register(probe, uc, stacked[i], words[i]);
    if (thread) {
        uint32_t selected = exc_return & RETURN_WITH_PSP ? CONTROL_SPSEL : 0;
        write_register(probe, uc, selected ? UC_ARM_REG_PSP : UC_ARM_REG_MSP, sp);
        set_control(probe, uc, 0);
        write_register(probe, uc, UC_ARM_REG_IPSR, NO_EXCEPTION);
        set_control(probe, uc, control | selected);
    } else {
        write_register(probe, uc, UC_ARM_REG_MSP, sp);
        set_control(probe, uc, control);
    }
    write_register(probe, uc, UC_ARM_REG_XPSR_NZCVQG, words[7] & ~XPSR_ALIGNED);
    rebuild_flags(probe, uc);
    write_register(probe, uc, UC_ARM_REG_PC, (words[6] & ~1u) | (words[7] & XPSR_T ? 1u : 0));
    write_register(probe, uc, UC_ARM_REG_EPSR, words[7] & (XPSR_IT | XPSR_T));
}

/* ExceptionReturn() of B1.5.8. PC holds EXC_RETURN without its lowest bit. */
static void exception_return(struct probe *probe, uc_engine *uc)
{
    struct exceptions *exceptions = probe->exceptions;
    uint32_t exc_return = read_register(probe, uc, UC_ARM_REG_PC) | 1;
    uint32_t returning = read_register(probe, uc, UC_ARM_REG_IPSR) & IPSR_BITS;
    leave_handler(probe, uc);
    if (!is_legal(exceptions, exc_return, returning)) {
        exceptions->active[returning] = 0;
        refuse_return(probe, uc, exc_return);
        return;
    }
    exceptions->active[returning] = 0;
    if (returning != NMI)
        write_register(probe, uc, UC_ARM_REG_FAULTMASK, 0);
    systick_advance(probe);
    struct masks masks = read_masks(probe, uc);
    uint32_t next = preempting(exceptions, &masks), handler = next ? handler_of(probe, uc, next) : 0;
    if (handler != 0) { /* tail-chaining: the frame stays */
        enter(probe, uc, next, handler, exc_return);
        return;
    }
    bool process = (exc_return & (RETURN_TO_THREAD | RETURN_WITH_PSP)) == (RETURN_TO_THREAD | RETURN_WITH_PSP);
    uint32_t frame = read_register(probe, uc, process ? UC_ARM_REG_PSP : UC_ARM_REG_MSP) & ~3u;
    uint32_t words[CONTEXT_WORDS];
    bool readable = read_words(probe, uc, frame, words, CONTEXT_WORDS);
    bool thread = (exc_return & RETURN_TO_THREAD) != 0, floats = (exc_return & RETURN_BASIC_FRAME) == 0;
    if (!readable || thread != ((words[7] & IPSR_BITS) == 0)) {
        refuse_return(probe, uc, exc_return);
        return;
    }
    if (floats)
        pop_floats(probe, uc, frame);
    uint32_t sp = (frame + (floats ? EXTENDED_FRAME : BASIC_FRAME)) | (words[7] & XPSR_ALIGNED ? 4u : 0);
    restore(probe, uc, exc_return, words, sp);
    exceptions->event = 1;
    look_for_exceptions(probe);
    note_return(probe, uc, words[6] & ~1u, frame, floats);
    if (probe->current_block != 0 && probe->blocks[probe->current_block].idles)
        probe->current_block = 0; /* the loop begins anew: the next exception may have been the last */
    if (thread && exceptions->scr & SCR_SLEEPONEXIT && active_priority(exceptions) == LOWEST_PRIORITY &&
        probe->stop_reason == STOP_NONE)
        stop(probe, uc, STOP_SLEEP);
    go_on(probe, uc);
}

/* Hook on every exception of Unicorn's core. */
void probe_exception(uc_engine *uc, uint32_t number, void *user_data)
{
    struct probe *probe = user_data;
    if (number == EXCP_SWI)
        supervisor_call(probe, uc);
    else if (number == EXCP_EXCEPTION_EXIT)
        exception_return(probe, uc);
    else {
        probe->exception = number;
        stop(probe, uc, STOP_NONE);
    }
}

/* Run from pc until something stops the engine; returns Unicorn's error. */
uc_err probe_run(struct probe *probe, uc_engine *uc, uint32_t pc)
{
    const uint32_t nowhere = 0xfffffff0; /* no code reaches this address; an engine keeps one stop address for all runs */
    for (;;) {
        if (probe->code_region_count == 0 && probe->event_at == 0)
            exception_before(probe, uc, pc); /* a bare machine has no hook on blocks */
        else
            write_register(probe, uc, UC_ARM_REG_PC, pc | 1);
        if (probe->stop_reason != STOP_NONE && probe->stop_reason != STOP_RESTART)
            return UC_ERR_OK;
        probe->stop_reason = STOP_NONE;
        pc = read_register(probe, uc, UC_ARM_REG_PC);
        uc_err error = probe->api.emu_start(uc, pc | thumb_bit(probe, uc), nowhere, 0, 0);
        pc = read_register(probe, uc, UC_ARM_REG_PC);
        if (probe->stop_reason == STOP_EXACT)
            begin_exact_access(probe, uc, pc);
        if (error != UC_ERR_OK || probe->stop_reason != STOP_RESTART)
            return error;
    }
}

/* ---- waiting ---- */

/* Whether a pending exception ends WFI (B1.5.19): PRIMASK does not count. */
static bool wakes(struct probe *probe, uc_engine *uc)
{
    struct masks masks = read_masks(probe, uc);
    masks.primask = 0;
    return preempting(probe->exceptions, &masks) != NO_EXCEPTION;
}

/* Whether an exception will interrupt a core that does nothing else: one that is pending, or a tick of SysTick. */
bool may_be_interrupted(struct probe *probe, uc_engine *uc)
{
    struct exceptions *exceptions = probe->exceptions;
    struct masks masks = read_masks(probe, uc);
    systick_advance(probe);
    if (preempting(exceptions, &masks) != NO_EXCEPTION)
        return true;
    if (systick_next(exceptions) == UINT64_MAX || exceptions->pending[SYS_TICK])
        return false;
    return group_priority_of(exceptions, SYS_TICK) < execution_priority(exceptions, &masks);
}

/* Code hook at each SEV, which sets the event register (B1.5.18). */
void probe_event(uc_engine *uc, uint64_t address, uint32_t size, void *user_data)
{
    struct probe *probe = user_data;
    (void)uc, (void)address, (void)size;
    probe->exceptions->event = 1;
}

/* The core waits in WFI, or in WFE if for_event. Time goes on to the next tick of SysTick; false if nothing will wake
 * the core. */
bool probe_wait(struct probe *probe, uc_engine *uc, bool for_event)
{
    struct exceptions *exceptions = probe->exceptions;
    if (for_event && exceptions->event) {
        exceptions->event = 0;
        return true;
    }
    systick_advance(probe);
    if (!wakes(probe, uc)) {
        uint64_t next = systick_next(exceptions), now = time_now(probe);
        if (next == UINT64_MAX || exceptions->pending[SYS_TICK])
            return false;
        exceptions->idle += next - now;
        systick_advance(probe);
        if (!wakes(probe, uc) && !(for_event && exceptions->event))
            return false;
    }
    if (for_event)
        exceptions->event = 0;
    look_for_exceptions(probe);
    return true;
}
