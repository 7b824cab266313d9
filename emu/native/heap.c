/* The allocator: its calls, from entry to return. */
#include "parts.h"

static void record_heap_event(struct probe *probe, const struct heap_event *event)
{
    if (probe->heap_event_count < probe->heap_event_capacity)
        probe->heap_events[probe->heap_event_count++] = *event;
    if (probe->shadow != NULL)
        shadow_heap_event(probe->shadow, event, probe->heap_call.return_address != 0);
    if (probe->heap_event_count + 4 > probe->heap_event_capacity)
        probe->pause_at = 0; /* so that Python empties the list before it is full */
}

/* Keep up with where the heap ends, as far as that is below the stack in the same memory. A break may go back; where
 * there is none, memory that the allocator has handed out once stays its own. */
static void note_heap_end(struct probe *probe, const struct heap_event *event)
{
    bool is_break = event->function == HEAP_BREAK;
    if (is_break != (probe->follows_break != 0) || event->result == (is_break ? FAILED_BREAK : 0))
        return;
    uint32_t end = event->result + event->size;
    if (end > probe->stack_floor && end <= probe->stack_top && (is_break || end > probe->heap_end))
        probe->heap_end = end;
}

/* Whether the function's return is an event. */
static bool has_result(uint32_t function)
{
    return function != HEAP_FREE && function != HEAP_QUERY && function != HEAP_USABLE_SIZE;
}

static void note_heap_return(struct probe *probe, uc_engine *uc, struct heap_call *call)
{
    if (read_register(probe, uc, UC_ARM_REG_SP) != call->sp)
        return;
    call->return_address = 0;
    if (!has_result(call->event.function))
        return;
    call->event.result = read_register(probe, uc, UC_ARM_REG_R0);
    if (call->event.function == HEAP_CALLOC && call->event.result != 0)
        call->event.size = call->wrapped; /* nobody has more to give */
    note_heap_end(probe, &call->event);
    record_heap_event(probe, &call->event);
}

/* A block is about to run at address, to which an allocator function may return. */
void note_heap_returns(struct probe *probe, uc_engine *uc, uint32_t address)
{
    if (address == probe->break_call.return_address)
        note_heap_return(probe, uc, &probe->break_call);
    if (address == probe->heap_call.return_address)
        note_heap_return(probe, uc, &probe->heap_call);
}

/* Whether an entry belongs to a call that has not returned: malloc calling _malloc_r is one call, by a tail call too.
 * SP tells of a call that was left for good, which does not come back. */
static bool is_inside(const struct heap_call *call, uint32_t entry, uint32_t sp, uint32_t return_address)
{
    if (call->return_address == 0 || sp > call->sp)
        return false;
    return sp < call->sp || (return_address == call->return_address && entry != call->entry);
}

static uint32_t product_of(uint32_t a, uint32_t b)
{
    uint64_t product = (uint64_t)a * b;
    return product > UINT32_MAX ? UINT32_MAX : (uint32_t)product;
}

/* Code hook at the entry of each allocator function, of sbrk and of longjmp. */
void probe_allocator_entry(uc_engine *uc, uint64_t address64, uint32_t size, void *user_data)
{
    struct probe *probe = user_data;
    const struct allocator_entry *entry = probe->allocator_entries;
    uint32_t address = (uint32_t)address64;
    (void)size;
    while (entry->address != address)
        entry++;
    if (entry->function == HEAP_LONGJMP) { /* out of the allocator, where it runs */
        probe->heap_call.return_address = probe->break_call.return_address = 0;
        return;
    }
    struct heap_call *call = entry->function == HEAP_BREAK ? &probe->break_call : &probe->heap_call;
    uint32_t sp = read_register(probe, uc, UC_ARM_REG_SP);
    uint32_t return_address = read_register(probe, uc, UC_ARM_REG_LR) & ~1u;
    if (is_inside(call, address, sp, return_address))
        return;

    int first = UC_ARM_REG_R0 + (int)entry->first_argument;
    uint32_t a = read_register(probe, uc, first), b = read_register(probe, uc, first + 1);
    struct heap_event event = {
        .function = entry->function,
        .call_site = return_address,
        .sp = sp,
        .path = number_of_caller(probe, uc, address, sp),
        .instructions = probe->instructions,
    };
    if (entry->function == HEAP_BREAK && probe->heap_call.return_address != 0) { /* who asked the allocator asks for it */
        event.call_site = probe->heap_call.event.call_site;
        event.path = probe->heap_call.event.path;
    }
    switch ((enum heap_function)entry->function) {
    case HEAP_MALLOC:
    case HEAP_BREAK: event.size = a; break;
    case HEAP_CALLOC: event.size = product_of(a, b); break;
    case HEAP_REALLOC:
    case HEAP_REALLOC_BEGINS: event.pointer = a, event.size = b; break;
    case HEAP_MEMALIGN: event.size = b; break;
    case HEAP_ALIGNED_CALLOC:
        event.function = HEAP_CALLOC;
        event.size = product_of(b, read_register(probe, uc, first + 2));
        break;
    case HEAP_USABLE_SIZE:
    case HEAP_FREE: event.pointer = a; break;
    case HEAP_LONGJMP:
    case HEAP_QUERY: break;
    }
    bool is_calloc = entry->function == HEAP_CALLOC;
    bool aligned = entry->function == HEAP_MEMALIGN || entry->function == HEAP_ALIGNED_CALLOC;
    *call = (struct heap_call){.return_address = return_address, .sp = sp, .entry = address, .event = event,
                               .alignment = aligned ? a : 0,
                               .wrapped = is_calloc ? a * b : event.size};
    if (event.function == HEAP_REALLOC)
        event.function = HEAP_REALLOC_BEGINS;
    if (event.function == HEAP_FREE || event.function == HEAP_REALLOC_BEGINS)
        record_heap_event(probe, &event); /* now, as a bad pointer may keep it from returning */
    if (probe->replaces_allocator && call == &probe->heap_call && event.function != HEAP_QUERY)
        stop(probe, uc, STOP_ALLOCATOR);
}

/* Python has served the call. */
void probe_allocator_served(struct probe *probe, uint32_t result)
{
    struct heap_call *call = &probe->heap_call;
    call->return_address = 0;
    call->event.result = result;
    if (has_result(call->event.function))
        record_heap_event(probe, &call->event);
}
