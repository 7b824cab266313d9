/* Call paths: who called whom, followed from block to block. emu/native/__init__.py mirrors the structures. */
#ifndef EMU_CALLS_H
#define EMU_CALLS_H

#include <stdbool.h>
#include <stdint.h>

struct function_range {
    uint32_t start, end;
};

/* A call path: its last function, and the path of that function's caller. Node 0 is the path without a function. */
struct call_node {
    uint32_t caller, function; /* the function's index + 1, or 0 if the code has no name */
    uint32_t first_callee, next_sibling;
    uint64_t instructions; /* of the function itself on this path */
};

/* A call that has not returned. */
struct call_frame {
    uint32_t return_address, sp;
    uint32_t caller; /* index into nodes */
};

/* Where the instructions go, by call path; without room for nodes nothing is followed. */
struct call_tree {
    const struct function_range *functions; /* by address */
    struct call_node *nodes;
    struct call_frame *frames; /* the first one stands for none */
    uint32_t function_count, node_count, node_capacity, frame_count, frame_capacity;
    uint32_t current; /* index into nodes */
    uint32_t cut;     /* not 0 if a path was too long, or one too many: its callers have its instructions */
};

void start_calls(struct call_tree *calls);

/* Index + 1 of the function that an address is in, or 0. */
uint32_t function_at(const struct call_tree *calls, uint32_t address);

/* Whether a block that begins at `address` in `function`, and was not called, goes on where the one before it was. */
static inline bool goes_on(const struct call_tree *calls, uint32_t address, uint32_t function)
{
    return calls->nodes[calls->current].function == function &&
           calls->frames[calls->frame_count - 1].return_address != address;
}

/* Keeps up with the call path when a block is about to run, with this SP; return_address is where the call returns to
 * that led to it, or 0. SP is what tells the truth: a function never raises it above what it was called with, so frames
 * with a lower one are gone, however they were left. A jump to another function (a tail call) takes over the frame. */
void follow_calls(struct call_tree *calls, uint32_t address, uint32_t function, uint32_t return_address, uint32_t sp);

/* Lets code run that an exception has put between two instructions: it is called by what runs, and leaves no frame.
 * Returns the path that its instructions belong to. */
uint32_t beside_calls(struct call_tree *calls, uint32_t function);

#endif
