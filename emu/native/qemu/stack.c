/* The lowest SP, in the run and in each interval, and the machine at that moment. */
#include "parts.h"

static uint32_t interval_lowest; /* in the current interval */
static bool below_heap_end;      /* whether SP was, at the last look */

void start_stack(void)
{
    plugin.shared->lowest.sp = plugin.shared->last_sp = interval_lowest = plugin.stack_top;
    plugin.shared->timeline = (struct timeline){
        .lowest = plugin.shared->intervals, .capacity = INTERVALS, .length = plugin.first_interval};
}

static void note_departure(uint32_t sp, uint32_t pc)
{
    uint32_t bytes;
    if (memory_at(sp - 1, &bytes) != NULL) return;
    struct departure *departure = &plugin.shared->departure;
    departure->sp = sp;
    departure->pc = pc;
    plugin.core->capture(departure->registers);
}

void look_at_sp(uint32_t lowered_at, uint32_t pc)
{
    if (*plugin.status & plugin.status_bits && !plugin.core->has_stack()) return;
    const uint32_t sp = *plugin.sp, from = plugin.shared->last_sp;
    plugin.shared->last_sp = sp;
    if ((sp < plugin.shared->heap.end) != below_heap_end) {
        below_heap_end = !below_heap_end;
        if (below_heap_end && sp >= plugin.stack_floor) note_meeting(from, lowered_at, pc);
    }
    if (sp >= interval_lowest && sp <= plugin.stack_top) return;
    struct shared *shared = plugin.shared;
    if (sp < plugin.stack_floor || sp > plugin.stack_top) {
        shared->off_stack = true;
        if (sp != from) note_departure(sp, pc);
        return;
    }
    interval_lowest = sp;
    if (shared->timeline.count > 0) shared->intervals[shared->timeline.count - 1] = sp;
    if (sp < shared->lowest.sp) write_down(&shared->lowest, lowered_at, pc);
}

void next_interval(void)
{
    const uint32_t last_sp = plugin.shared->last_sp;
    const bool on_it = last_sp >= plugin.stack_floor && last_sp < plugin.stack_top;
    interval_lowest = on_it ? last_sp : plugin.stack_top;
    begin_interval(&plugin.shared->timeline, plugin.shared->instructions, interval_lowest);
}
