/* Call paths: who called whom, followed from block to block. emu/native/__init__.py mirrors the structures. */
#ifndef EMU_CALLS_H
#define EMU_CALLS_H

#include <stdbool.h>
#include <stdint.h>

struct function_range {
    uint32_t start, end;
};

/* A call path: its last function, and the path of that function's caller. Node 0 is the path without functions. */
struct call_node {
    uint32_t caller, function; /* the function's index + 1, or 0 if the code has no name */
    uint32_t first_callee, next_sibling;
    uint64_t instructions; /* instructions of the function itself on this path */
};

/* A call that has not returned. */
struct call_frame {
    uint32_t return_address, sp;
    uint32_t caller; /* index into nodes */
};

/* Instructions by call path; nothing is followed if there is no room for nodes. */
struct call_tree {
    const struct function_range *functions; /* sorted by address */
    struct call_node *nodes;
    struct call_frame *frames; /* the first element means no call */
    uint32_t function_count, node_count, node_capacity, frame_count, frame_capacity;
    uint32_t current; /* index into nodes */
    uint32_t cut;     /* not 0 if a path was too long, or if there were too many paths: callers got the instructions */
};

void start_calls(struct call_tree *calls);

/* Index + 1 of the function that holds an address, or 0. */
uint32_t function_at(const struct call_tree *calls, uint32_t address);

/* Whether a block at `address` in `function`, which was not called, stays on the current path. */
static inline bool goes_on(const struct call_tree *calls, uint32_t address, uint32_t function)
{
    return calls->nodes[calls->current].function == function &&
           calls->frames[calls->frame_count - 1].return_address != address;
}

/* Updates the call path for a block that is about to run with this SP. return_address belongs to the call that led to
 * the block; it is 0 without a call. A function never raises SP above its value at the call, so frames with a lower SP
 * have ended. A jump to another function (a tail call) takes over the frame. */
void follow_calls(struct call_tree *calls, uint32_t address, uint32_t function, uint32_t return_address, uint32_t sp);

/* An exception interrupts the current function, which is the caller of its handler. */
void interrupt_calls(struct call_tree *calls);

/* An exception has ended: the calls are those of the function that it interrupted. */
void resume_calls(struct call_tree *calls, uint32_t frame_count, uint32_t path);

/* Counts code that an exception runs between two instructions: the current function is its caller, and it leaves no
 * frame. Returns the path of its instructions. */
uint32_t beside_calls(struct call_tree *calls, uint32_t function);

#endif
