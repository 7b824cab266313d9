/* The allocator: its calls, from entry to return, and its callers. Python replays these events. */
#define _GNU_SOURCE
#include <string.h>
#include <time.h>

#include "../common/paths.h"
#include "parts.h"

enum { MOST_STACK_BYTES = 32768, MOST_OTHER_STACK_BYTES = 2048 /* if the stack's top is not known */ };
enum { PATHS = 1 << 14, SLOTS = 2 * PATHS, MOST_EVENTS_OF_A_CALL = 4 };

struct call {
    struct heap_call call;
    uint32_t link; /* the return address as the core keeps it */
};

/* What a thread or a handler calls. The caller of sbrk is the allocator, or the firmware itself. */
struct calls {
    struct call outermost, of_break;
    bool counted; /* in plugin.in_allocator */
};
static struct calls calls_of[CONTEXTS];

static uint64_t keys[SLOTS];
static uint32_t numbers[SLOTS]; /* 0: the slot is free */
static uint32_t path_count;

/* Lets Python empty the lists, and find the stack of asked_sp. */
void wait_for_python(void)
{
    uint64_t *waits = &plugin.shared->heap.waits;
    const struct timespec pause = {.tv_nsec = 200000};
    __atomic_store_n(waits, 1, __ATOMIC_SEQ_CST);
    while (__atomic_load_n(waits, __ATOMIC_SEQ_CST)) nanosleep(&pause, NULL);
}

static void count_calls(struct calls *calls)
{
    const bool counted = (calls->of_break.call.return_address | calls->outermost.call.return_address) != 0;
    plugin.in_allocator += (uint32_t)counted - (uint32_t)calls->counted;
    calls->counted = counted;
}

static void make_room(void)
{
    const struct heap *heap = &plugin.shared->heap;
    const bool events = heap->event_count + MOST_EVENTS_OF_A_CALL <= HEAP_EVENTS;
    if (events && heap->capture_count < HEAP_CAPTURES && heap->stack_bytes + MOST_STACK_BYTES <= HEAP_STACK_BYTES) return;
    wait_for_python();
}

static void record(const struct heap_event *event)
{
    struct heap *heap = &plugin.shared->heap;
    heap->events[heap->event_count++] = *event;
}

/* ---- callers ----------------------------------------------------------------------------------------------------- */

/* The address after the jump that led to the current block, which begins a function; 0 if a call led there. */
static uint32_t jump_before(uint32_t return_address)
{
    const struct block *block = &plugin.shared->blocks[plugin.shared->previous_block];
    const uint32_t end = block->address + block->size;
    return end == return_address ? 0 : end;
}

/* The number of the path to the function at `entry`, which was just called; a new path is captured. */
static uint32_t number_of_caller(uint32_t entry, uint32_t return_address)
{
    struct heap *heap = &plugin.shared->heap;
    const uint32_t sp = *plugin.sp, start = sp - plugin.core->below_sp;
    uint32_t bytes = 0;
    const uint8_t *stack = memory_at(start, &bytes);
    const struct stack *on = &plugin.shared->stacks[plugin.shared->current_stack];
    const uint32_t used = plugin.shared->current_stack != 0 && sp <= on->top ? on->top - start : MOST_OTHER_STACK_BYTES;
    if (bytes > used) bytes = used;
    if (bytes > MOST_STACK_BYTES) bytes = MOST_STACK_BYTES;
    const uint32_t jumped_from = jump_before(return_address);
    const uint64_t key = mixed(plugin.core->path_key(entry, stack, bytes), jumped_from);
    const uint32_t slot = slot_of(keys, numbers, SLOTS, key);
    if (numbers[slot] != 0) return numbers[slot];
    if (path_count == PATHS) return 0;
    keys[slot] = key;
    numbers[slot] = ++path_count;
    struct caller_capture *capture = &heap->captures[heap->capture_count++];
    plugin.core->capture(capture->registers);
    capture->entry = entry;
    capture->jumped_from = jumped_from;
    capture->thread = running_thread();
    capture->stack_start = start;
    capture->offset = heap->stack_bytes;
    capture->stack_bytes = bytes;
    if (bytes > 0) memcpy(heap->stacks + heap->stack_bytes, stack, bytes);
    heap->stack_bytes += bytes;
    return path_count;
}

/* ---- calls ------------------------------------------------------------------------------------------------------- */

static void on_entry(unsigned vcpu, void *data)
{
    (void)vcpu;
    const struct allocator_entry *entry = data;
    struct calls *calls = &calls_of[running()];
    if (entry->function == HEAP_LONGJMP) { /* longjmp may leave the allocator */
        calls->outermost.call.return_address = calls->of_break.call.return_address = 0;
        count_calls(calls);
        return;
    }
    struct call *call = entry->function == HEAP_BREAK ? &calls->of_break : &calls->outermost;
    const uint32_t sp = *plugin.sp, link = plugin.core->link(entry->address);
    const uint32_t return_address = plugin.core->return_address(link, entry->address);
    if (is_inside_call(&call->call, entry->address, sp, return_address)) return;
    make_room();
    if (call->call.return_address != 0) plugin.shared->heap.unseen_returns++;

    uint32_t arguments[3];
    for (uint32_t i = 0; i < 3; i++) {
        arguments[i] = plugin.core->argument(entry->address, entry->first_argument + i);
    }
    *call = (struct call){begun_call(entry, arguments, sp, return_address), link};
    count_calls(calls);
    struct heap_event *event = &call->call.event;
    event->path = number_of_caller(entry->address, return_address);
    event->instructions = plugin.shared->instructions;
    const struct heap_call *outermost = &calls->outermost.call;
    if (entry->function == HEAP_BREAK && outermost->return_address != 0) { /* the allocator's caller is the caller */
        event->call_site = outermost->event.call_site;
        event->path = outermost->event.path;
    }
    struct heap_event at_entry;
    if (entry_is_event(&call->call, &at_entry)) record(&at_entry);
}

static void note_return(struct call *call, uint32_t address)
{
    const uint32_t sp = *plugin.sp;
    if (call->call.return_address == 0 || sp < call->call.sp) return;
    if (sp == call->call.sp && address != call->call.return_address) return;
    call->call.return_address = 0;
    if (sp > call->call.sp) { /* no function raises SP above its value at the call */
        plugin.shared->heap.unseen_returns++;
        return;
    }
    if (!return_is_event(&call->call, plugin.core->result(call->link))) return;
    const struct heap_event *event = &call->call.event;
    follow_heap_end(event, plugin.follows_break, plugin.stack_floor, plugin.stack_top, &plugin.shared->heap.end);
    record(event);
}

void note_returns(uint32_t address)
{
    if (*plugin.status & plugin.status_bits) return;
    struct calls *calls = &calls_of[running()];
    note_return(&calls->of_break, address);
    note_return(&calls->outermost, address);
    count_calls(calls);
}

void watch_allocator(struct qemu_plugin_insn *insn, uint32_t address)
{
    for (int i = 0; i < plugin.allocator_count; i++) {
        if (plugin.allocator[i].address == address) {
            qemu_plugin_register_vcpu_insn_exec_cb(insn, on_entry, QEMU_PLUGIN_CB_R_REGS, &plugin.allocator[i]);
        }
    }
}

/* ---- heap and stack ---------------------------------------------------------------------------------------------- */

void note_meeting(uint32_t from, uint32_t lowered_at, uint32_t pc)
{
    struct heap *heap = &plugin.shared->heap;
    if (heap->has_met) return;
    write_down(&heap->meeting, &plugin.shared->stacks[RESET_STACK], lowered_at, pc);
    heap->met_from = from;
    heap->meeting_noted = 1;
    wait_for_python(); /* Python needs the current live blocks to tell whether the firmware's first stack fell */
}
