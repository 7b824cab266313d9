/* The stack of the reset against instructions: the lowest SP of each interval, its top while SP is elsewhere. */
#ifndef EMU_TIMELINE_H
#define EMU_TIMELINE_H

#include <stdint.h>

/* The lowest SP in intervals of equal length, which doubles when there is no room for another interval. */
struct timeline {
    uint32_t *lowest; /* of each interval, the current one last */
    uint32_t count, capacity;
    uint64_t length, end; /* of an interval, and of the current one, in instructions */
    uint32_t lowest_before; /* of the current interval, before SP went from sp at pc to what is its lowest now */
    uint32_t pc, sp;
    uint64_t block_serial;  /* in which block execution it did */
};

/* Begins the interval that is on after so many instructions, in which SP is `sp` so far. Room for it comes from making
 * one interval of each two. */
void begin_interval(struct timeline *timeline, uint64_t instructions, uint32_t sp);

#endif
