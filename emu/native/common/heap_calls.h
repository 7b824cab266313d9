/* Calls of the allocator, from entry to return, whatever emulator they run in. emu/native/__init__.py mirrors the
 * structures. */
#ifndef EMU_HEAP_CALLS_H
#define EMU_HEAP_CALLS_H

#include <stdbool.h>
#include <stdint.h>

#define FAILED_BREAK UINT32_MAX /* what sbrk returns */

enum heap_function {
    HEAP_MALLOC,
    HEAP_CALLOC,
    HEAP_REALLOC,
    HEAP_MEMALIGN,
    HEAP_FREE,
    HEAP_ALIGNED_CALLOC,  /* becomes an event as HEAP_CALLOC */
    HEAP_REALLOC_BEGINS,  /* the event at the entry of realloc, which a bad pointer may keep from returning */
    HEAP_BREAK,           /* sbrk: size is the increment, result the break before it */
    HEAP_LONGJMP,         /* no event */
    HEAP_QUERY,           /* no event: looks at what the allocator keeps */
    HEAP_USABLE_SIZE      /* no event either: of a block */
};

struct allocator_entry {
    uint32_t address;
    uint32_t function;       /* enum heap_function */
    uint32_t first_argument; /* 1 if the very first is newlib's reentrancy structure */
};

struct heap_event {
    uint32_t function;
    uint32_t size;    /* bytes asked for */
    uint32_t pointer; /* what realloc or free was given */
    uint32_t result;  /* what the allocator returned */
    uint32_t call_site;
    uint32_t sp;   /* when it was called */
    uint32_t path; /* who called it: a number in struct callers */
    uint64_t instructions; /* retired when it was called */
};

/* The outermost allocator call that has not returned yet; return_address is 0 when there is none. */
struct heap_call {
    uint32_t return_address, sp;
    uint32_t entry; /* the function's first instruction */
    uint32_t alignment; /* asked for, or 0 */
    uint32_t wrapped;   /* calloc: the product of its arguments in 32 bits, which some take for it */
    struct heap_event event;
};

/* Whether an entry belongs to a call that has not returned: malloc calling _malloc_r is one call, by a tail call too.
 * SP tells of a call that was left for good, which does not come back. */
bool is_inside_call(const struct heap_call *call, uint32_t entry, uint32_t sp, uint32_t return_address);

/* The call that begins with these arguments, from the entry's first one on. Of its event the path and the instructions
 * are the caller's to fill in. */
struct heap_call begun_call(const struct allocator_entry *entry, const uint32_t arguments[3], uint32_t sp,
                            uint32_t return_address);

/* Whether the call's entry is an event of its own, which it becomes in *event. */
bool entry_is_event(const struct heap_call *call, struct heap_event *event);

/* Takes the result into the call's event; whether its return is one. */
bool return_is_event(struct heap_call *call, uint32_t result);

/* Where the heap ends after an event, which was *heap_end before, as far as it lies from floor to top. A break may go
 * back; where there is none, memory that the allocator has handed out once stays its own. */
void follow_heap_end(const struct heap_event *event, bool follows_break, uint32_t floor, uint32_t top,
                     uint32_t *heap_end);

#endif
