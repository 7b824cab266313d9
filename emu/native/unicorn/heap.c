/* The allocator: its calls, from entry to return. */
#include "parts.h"

static void record_heap_event(struct probe *probe, const struct heap_event *event)
{
    if (probe->heap_event_count < probe->heap_event_capacity)
        probe->heap_events[probe->heap_event_count++] = *event;
    if (probe->shadow != NULL)
        shadow_heap_event(probe->shadow, event, running(probe)->heap_call.return_address != 0);
    if (probe->heap_event_count + 4 > probe->heap_event_capacity)
        probe->pause_at = 0; /* Python empties the list before it is full */
}

/* Whether the call returns a block, or a block's size. */
static bool tells_of_block(const struct heap_call *call)
{
    return call->event.function != HEAP_FREE && call->event.function != HEAP_QUERY;
}

static void note_heap_return(struct probe *probe, uc_engine *uc, struct heap_call *call)
{
    if (read_register(probe, uc, UC_ARM_REG_SP) != call->sp)
        return;
    if (probe->moves_blocks && call == &running(probe)->heap_call && tells_of_block(call)) {
        stop(probe, uc, STOP_ALLOCATED);
        return;
    }
    call->return_address = 0;
    if (!return_is_event(call, read_register(probe, uc, UC_ARM_REG_R0)))
        return;
    follow_heap_end(&call->event, probe->follows_break != 0, probe->stack_floor, probe->stack_top, &probe->heap_end);
    record_heap_event(probe, &call->event);
}

/* A block is about to run at address, to which an allocator function may return. */
void note_heap_returns(struct probe *probe, uc_engine *uc, uint32_t address)
{
    if (address == running(probe)->break_call.return_address)
        note_heap_return(probe, uc, &running(probe)->break_call);
    if (address == running(probe)->heap_call.return_address)
        note_heap_return(probe, uc, &running(probe)->heap_call);
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
    if (entry->function == HEAP_LONGJMP) { /* longjmp may leave the allocator */
        running(probe)->heap_call.return_address = running(probe)->break_call.return_address = 0;
        return;
    }
    struct heap_call *call = entry->function == HEAP_BREAK ? &running(probe)->break_call : &running(probe)->heap_call;
    if (call == &running(probe)->heap_call && probe->call_is_known) {
        probe->call_is_known = 0;
        return;
    }
    uint32_t sp = read_register(probe, uc, UC_ARM_REG_SP);
    uint32_t return_address = read_register(probe, uc, UC_ARM_REG_LR) & ~1u;
    if (is_inside_call(call, address, sp, return_address))
        return;

    uint32_t arguments[3];
    for (int i = 0; i < 3; i++)
        arguments[i] = read_register(probe, uc, UC_ARM_REG_R0 + (int)entry->first_argument + i);
    *call = begun_call(entry, arguments, sp, return_address);
    call->event.path = number_of_caller(probe, uc, address, sp);
    call->event.instructions = probe->instructions;
    if (entry->function == HEAP_BREAK && running(probe)->heap_call.return_address != 0) { /* the allocator's caller is the caller */
        call->event.call_site = running(probe)->heap_call.event.call_site;
        call->event.path = running(probe)->heap_call.event.path;
    }
    struct heap_event event;
    if (entry_is_event(call, &event))
        record_heap_event(probe, &event);
    if (probe->moves_blocks && call == &running(probe)->heap_call && call->event.pointer != 0) {
        probe->call_is_known = 1;
        stop(probe, uc, STOP_ALLOCATOR);
    }
}

/* Python has moved the block of STOP_ALLOCATED to result. */
void probe_block_moved(struct probe *probe, uint32_t result)
{
    struct heap_call *call = &running(probe)->heap_call;
    call->return_address = 0;
    if (return_is_event(call, result))
        record_heap_event(probe, &call->event);
}
