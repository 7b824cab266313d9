/* The reset's stack over instructions: the lowest SP of each interval, or the top while SP is on another stack. */
#ifndef EMU_TIMELINE_H
#define EMU_TIMELINE_H

#include <stdint.h>

/* The lowest SP in intervals of equal length, which doubles when there is no room for another interval. */
struct timeline {
    uint32_t *lowest; /* the lowest SP of each interval, the current interval last */
    uint32_t count, capacity;
    uint64_t length, end; /* instructions of an interval, and of the current interval */
    uint32_t lowest_before; /* of the current interval, before SP went from sp at pc to its present lowest */
    uint32_t pc, sp;
    uint64_t block_serial;  /* the block execution in which SP did so */
};

/* Begins the interval after so many instructions, with SP at `sp`. If there is no room, each two intervals become
 * one. */
void begin_interval(struct timeline *timeline, uint64_t instructions, uint32_t sp);

#endif
