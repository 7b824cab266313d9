/* Calls of the allocator, from entry to return, in any emulator. emu/native/__init__.py mirrors the
 * structures. */
#ifndef EMU_HEAP_CALLS_H
#define EMU_HEAP_CALLS_H

#include <stdbool.h>
#include <stdint.h>

#define FAILED_BREAK UINT32_MAX /* the result of sbrk if it has no memory */

enum heap_function {
    HEAP_MALLOC,
    HEAP_CALLOC,
    HEAP_REALLOC,
    HEAP_MEMALIGN,
    HEAP_FREE,
    HEAP_ALIGNED_CALLOC,  /* becomes an event as HEAP_CALLOC */
    HEAP_REALLOC_BEGINS,  /* the event at the entry of realloc, which may not return from a bad pointer */
    HEAP_BREAK,           /* sbrk: size is the increment, result the break before it */
    HEAP_LONGJMP,         /* no event */
    HEAP_QUERY,           /* no event: reads the allocator's own data */
    HEAP_USABLE_SIZE      /* no event: the size of a block */
};

struct allocator_entry {
    uint32_t address;
    uint32_t function;       /* enum heap_function */
    uint32_t first_argument; /* 1 if newlib's reentrancy structure comes first, else 0 */
};

struct heap_event {
    uint32_t function;
    uint32_t size;    /* requested bytes */
    uint32_t pointer; /* the argument of realloc or free */
    uint32_t result;  /* the allocator's result */
    uint32_t call_site;
    uint32_t sp;   /* at the call */
    uint32_t path; /* the call path: a number in struct callers */
    uint64_t instructions; /* retired at the call */
};

/* The outermost allocator call that has not returned yet; return_address is 0 when there is none. */
struct heap_call {
    uint32_t return_address, sp;
    uint32_t entry; /* the function's first instruction */
    uint32_t alignment; /* requested, or 0 */
    uint32_t wrapped;   /* calloc: the product of its arguments in 32 bits, the size that some allocators then use */
    struct heap_event event;
};

/* Whether an entry belongs to a call that has not returned: malloc and the _malloc_r that it calls, even by a tail call,
 * are one call. SP tells whether a call was left for good. */
bool is_inside_call(const struct heap_call *call, uint32_t entry, uint32_t sp, uint32_t return_address);

/* The call that begins with these arguments, from the entry's first argument on. The caller fills in the path and the
 * instructions of the event. */
struct heap_call begun_call(const struct allocator_entry *entry, const uint32_t arguments[3], uint32_t sp,
                            uint32_t return_address);

/* Whether the call's entry is itself an event, which is then written to *event. */
bool entry_is_event(const struct heap_call *call, struct heap_event *event);

/* Writes the result to the call's event; whether the return is an event. */
bool return_is_event(struct heap_call *call, uint32_t result);

/* Updates *heap_end, the heap's end if it lies between floor and top, after an event. A break may move back. Without a
 * break, memory that the allocator has once returned stays part of the heap. */
void follow_heap_end(const struct heap_event *event, bool follows_break, uint32_t floor, uint32_t top,
                     uint32_t *heap_end);

#endif
