#include "heap_calls.h"

bool is_inside_call(const struct heap_call *call, uint32_t entry, uint32_t sp, uint32_t return_address)
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

struct heap_call begun_call(const struct allocator_entry *entry, const uint32_t arguments[3], uint32_t sp,
                            uint32_t return_address)
{
    const uint32_t a = arguments[0], b = arguments[1];
    struct heap_event event = {.function = entry->function, .call_site = return_address, .sp = sp};
    switch ((enum heap_function)entry->function) {
    case HEAP_MALLOC:
    case HEAP_BREAK: event.size = a; break;
    case HEAP_CALLOC: event.size = product_of(a, b); break;
    case HEAP_REALLOC:
    case HEAP_REALLOC_BEGINS: event.pointer = a, event.size = b; break;
    case HEAP_MEMALIGN: event.size = b; break;
    case HEAP_ALIGNED_CALLOC:
        event.function = HEAP_CALLOC;
        event.size = product_of(b, arguments[2]);
        break;
    case HEAP_USABLE_SIZE:
    case HEAP_FREE: event.pointer = a; break;
    case HEAP_LONGJMP:
    case HEAP_QUERY: break;
    }
    bool is_calloc = entry->function == HEAP_CALLOC;
    bool aligned = entry->function == HEAP_MEMALIGN || entry->function == HEAP_ALIGNED_CALLOC;
    return (struct heap_call){.return_address = return_address, .sp = sp, .entry = entry->address,
                              .alignment = aligned ? a : 0, .wrapped = is_calloc ? a * b : event.size, .event = event};
}

bool entry_is_event(const struct heap_call *call, struct heap_event *event)
{
    *event = call->event;
    if (event->function == HEAP_REALLOC)
        event->function = HEAP_REALLOC_BEGINS;
    return event->function == HEAP_FREE || event->function == HEAP_REALLOC_BEGINS;
}

bool return_is_event(struct heap_call *call, uint32_t result)
{
    struct heap_event *event = &call->event;
    event->result = result;
    if (event->function == HEAP_CALLOC && result != 0)
        event->size = call->wrapped; /* more than any memory has */
    return event->function != HEAP_FREE && event->function != HEAP_QUERY && event->function != HEAP_USABLE_SIZE;
}

void follow_heap_end(const struct heap_event *event, bool follows_break, uint32_t floor, uint32_t top,
                     uint32_t *heap_end)
{
    bool is_break = event->function == HEAP_BREAK;
    if (is_break != follows_break || event->result == (is_break ? FAILED_BREAK : 0))
        return;
    uint32_t end = event->result + event->size;
    if (end > floor && end <= top && (is_break || end > *heap_end))
        *heap_end = end;
}
