/* The allocator: its calls, from entry to return. */
#include "parts.h"

static void record_heap_event(struct probe *probe, const struct heap_event *event)
{
    if (probe->heap_event_count < probe->heap_event_capacity)
        probe->heap_events[probe->heap_event_count++] = *event;
    if (probe->shadow != NULL)
        shadow_heap_event(probe->shadow, event);
    if (probe->heap_event_count + 2 > probe->heap_event_capacity)
        probe->pause_at = 0; /* so that Python empties the list before it is full */
}

void note_heap_return(struct probe *probe, uc_engine *uc)
{
    struct heap_call *call = &probe->heap_call;
    if (read_register(probe, uc, UC_ARM_REG_SP) != call->sp)
        return;
    call->return_address = 0;
    if (call->event.function == HEAP_FREE)
        return;
    call->event.result = read_register(probe, uc, UC_ARM_REG_R0);
    record_heap_event(probe, &call->event);
}

/* Code hook at the entry of each allocator function. */
void probe_allocator_entry(uc_engine *uc, uint64_t address, uint32_t size, void *user_data)
{
    struct probe *probe = user_data;
    struct heap_call *call = &probe->heap_call;
    const struct allocator_entry *entry = probe->allocator_entries;
    (void)size;
    uint32_t sp = read_register(probe, uc, UC_ARM_REG_SP);
    if (call->return_address != 0 && sp <= call->sp)
        return; /* malloc calling _malloc_r is one call; an outer frame that longjmp left does not come back */
    while (entry->address != address)
        entry++;

    int first = UC_ARM_REG_R0 + (int)entry->first_argument;
    uint32_t a = read_register(probe, uc, first), b = read_register(probe, uc, first + 1);
    uint64_t product = (uint64_t)a * b;
    call->event = (struct heap_event){.function = entry->function, .instructions = probe->instructions};
    switch ((enum heap_function)entry->function) {
    case HEAP_MALLOC: call->event.size = a; break;
    case HEAP_CALLOC: call->event.size = product > UINT32_MAX ? UINT32_MAX : (uint32_t)product; break;
    case HEAP_REALLOC: call->event.pointer = a, call->event.size = b; break;
    case HEAP_MEMALIGN: call->event.size = b; break;
    case HEAP_FREE: call->event.pointer = a; break;
    }
    call->sp = sp;
    call->return_address = read_register(probe, uc, UC_ARM_REG_LR) & ~1u;
    call->event.call_site = call->return_address;
    if (entry->function == HEAP_FREE)
        record_heap_event(probe, &call->event); /* now, as a bad pointer may keep free from returning */
}
