/* How firmware tells the harness about its heap if the emulator (Renode) cannot follow the allocator's calls. The harness
 * finds this struct by its symbol `emu_heap`. The firmware's allocator, or a wrapper around it (-Wl,--wrap=malloc), keeps
 * the struct up to date. Bytes are the bytes that callers asked for.
 */
#ifndef EMU_HEAP_H
#define EMU_HEAP_H

#include <stdint.h>

struct emu_heap {
    uint32_t live;        /* bytes */
    uint32_t peak;        /* the largest `live` so far */
    uint32_t allocations;
    uint32_t frees;       /* free(NULL) does not count */
    uint32_t failures;    /* allocations that were refused */
    uint32_t block;       /* the address of any block, such as the first; 0 before the first allocation */
};

extern struct emu_heap emu_heap;

#endif
