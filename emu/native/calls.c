/* Call paths: who called whom, followed from block to block. */
#include "parts.h"

#define NO_FUNCTION UINT32_MAX  /* of the node at which nothing has run yet */
#define NO_RETURN_ADDRESS 1u    /* at which no instruction can be */

void start_calls(struct call_tree *calls)
{
    if (calls->node_capacity == 0)
        return;
    calls->nodes[calls->node_count++] = (struct call_node){.function = NO_FUNCTION};
    calls->frames[calls->frame_count++] = (struct call_frame){.return_address = NO_RETURN_ADDRESS, .sp = UINT32_MAX};
}

/* The node for function called on the path of caller, which is made where it is new; caller where there is no room. */
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

/* Remove the frame that a return to address leaves, or that a longjmp does: then code goes on in a function on the
 * path, behind its start. */
static void leave_frame(struct call_tree *calls, const struct block *block, uint32_t sp)
{
    bool at_start = block->function != 0 && calls->functions[block->function - 1].start == block->address;
    for (uint32_t count = calls->frame_count; calls->frames[count - 1].sp == sp; count--) {
        const struct call_frame *frame = &calls->frames[count - 1];
        bool jumped_back = !at_start && calls->nodes[frame->caller].function == block->function;
        if (frame->return_address == block->address || jumped_back) {
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

/* Keep up with the call path when block is about to run; return_address is where a call in the block before it would
 * return to, or 0. SP is what tells the truth: a function never raises it above what it was called with, so frames
 * with a lower one are gone, however they were left. A jump to another function (a tail call) takes over the frame. */
void follow_calls(struct probe *probe, uc_engine *uc, const struct block *block, uint32_t return_address)
{
    struct call_tree *calls = &probe->calls;
    bool called = return_address != 0 && return_address != block->address &&
                  read_register(probe, uc, UC_ARM_REG_LR) == (return_address | 1u);
    uint32_t function = calls->nodes[calls->current].function;
    if (!called && function == block->function && calls->frames[calls->frame_count - 1].return_address != block->address)
        return;
    uint32_t sp = read_register(probe, uc, UC_ARM_REG_SP);
    while (calls->frames[calls->frame_count - 1].sp < sp)
        calls->frame_count--;
    if (called)
        enter_frame(calls, return_address, sp, callee_of(calls, calls->frames[calls->frame_count - 1].caller, function));
    else
        leave_frame(calls, block, sp);
    calls->current = callee_of(calls, calls->frames[calls->frame_count - 1].caller, block->function);
}
