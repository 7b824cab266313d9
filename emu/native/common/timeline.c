#include "timeline.h"

void begin_interval(struct timeline *timeline, uint64_t instructions, uint32_t sp)
{
    while (instructions >= timeline->end) {
        if (timeline->count == timeline->capacity) {
            for (uint32_t i = 0; i < timeline->count / 2; i++) {
                uint32_t first = timeline->lowest[2 * i], second = timeline->lowest[2 * i + 1];
                timeline->lowest[i] = first < second ? first : second;
            }
            timeline->count /= 2;
            timeline->length *= 2;
        } else {
            timeline->lowest[timeline->count++] = sp;
            timeline->end += timeline->length;
        }
    }
}
