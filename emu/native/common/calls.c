#include "calls.h"

#define NO_FUNCTION UINT32_MAX  /* function of the node before any code has run */
#define NO_RETURN_ADDRESS 1u    /* an odd address: no instruction can be there */

void start_calls(struct call_tree *calls)
{
    if (calls->node_capacity == 0)
        return;
    calls->nodes[calls->node_count++] = (struct call_node){.function = NO_FUNCTION};
    calls->frames[calls->frame_count++] = (struct call_frame){.return_address = NO_RETURN_ADDRESS, .sp = UINT32_MAX};
}

/* The node of function on the path of caller, made if it is new; caller itself if there is no room. */
static uint32_t callee_of(struct call_tree *calls, uint32_t caller, uint32_t function)
{
    uint32_t *link = &calls->nodes[caller].first_callee;
    while (*link != 0 && calls->nodes[*link].function != function)
        link = &calls->nodes[*link].next_sibling;
    if (*link == 0) {
        if (calls->node_count == calls->node_capacity) {
            calls->cut = 1;
            return caller;
        }
        calls->nodes[calls->node_count] = (struct call_node){.caller = caller, .function = function};
        *link = calls->node_count++;
    }
    return *link;
}

/* Remove the frame that a return to address leaves, or the frames that a longjmp leaves. After a longjmp, code goes on
 * in a function on the path, after its start. */
static void leave_frame(struct call_tree *calls, uint32_t address, uint32_t function, uint32_t sp)
{
    bool at_start = function != 0 && calls->functions[function - 1].start == address;
    for (uint32_t count = calls->frame_count; calls->frames[count - 1].sp == sp; count--) {
        const struct call_frame *frame = &calls->frames[count - 1];
        bool jumped_back = !at_start && calls->nodes[frame->caller].function == function;
        if (frame->return_address == address || jumped_back) {
            calls->frame_count = count - 1;
            return;
        }
    }
}

static void enter_frame(struct call_tree *calls, uint32_t return_address, uint32_t sp, uint32_t caller)
{
    if (calls->frame_count == calls->frame_capacity)
        calls->cut = 1;
    else
        calls->frames[calls->frame_count++] =
            (struct call_frame){.return_address = return_address, .sp = sp, .caller = caller};
}

uint32_t function_at(const struct call_tree *calls, uint32_t address)
{
    uint32_t first = 0, end = calls->function_count;
    while (first < end) {
        uint32_t middle = first + (end - first) / 2;
        if (calls->functions[middle].start <= address)
            first = middle + 1;
        else
            end = middle;
    }
    return first != 0 && address < calls->functions[first - 1].end ? first : 0;
}

void follow_calls(struct call_tree *calls, uint32_t address, uint32_t function, uint32_t return_address, uint32_t sp)
{
    const uint32_t caller = calls->nodes[calls->current].function;
    while (calls->frames[calls->frame_count - 1].sp < sp)
        calls->frame_count--;
    if (return_address != 0)
        enter_frame(calls, return_address, sp, callee_of(calls, calls->frames[calls->frame_count - 1].caller, caller));
    else
        leave_frame(calls, address, function, sp);
    calls->current = callee_of(calls, calls->frames[calls->frame_count - 1].caller, function);
}

void interrupt_calls(struct call_tree *calls)
{
    if (calls->node_capacity != 0)
        enter_frame(calls, NO_RETURN_ADDRESS, UINT32_MAX, calls->current); /* no SP of the handler ends this frame */
}

void resume_calls(struct call_tree *calls, uint32_t frame_count, uint32_t path)
{
    if (calls->node_capacity == 0)
        return;
    calls->frame_count = frame_count;
    calls->current = path;
}

uint32_t beside_calls(struct call_tree *calls, uint32_t function) { return callee_of(calls, calls->current, function); }
