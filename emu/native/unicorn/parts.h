/* The functions that the parts of the probe share. */
#ifndef EMU_PARTS_H
#define EMU_PARTS_H

#include "probe.h"

#include <stdbool.h>

static inline uint32_t read_register(const struct probe *probe, uc_engine *uc, int id)
{
    uint32_t value = 0;
    probe->api.reg_read(uc, id, &value);
    return value;
}

static inline void stop(struct probe *probe, uc_engine *uc, enum stop_reason reason)
{
    probe->stop_reason = reason;
    probe->api.emu_stop(uc);
}

/* The thread or the handler that runs. */
static inline struct context *running(const struct probe *probe) { return &probe->contexts[probe->context]; }

#define ENDLESS_LOOP 0xe7feu /* B . */

/* code.c */
bool start_code(struct probe *probe); /* false if the host has no memory */
void release_code(struct probe *probe);
const struct code_region *code_region_at(const struct probe *probe, uint32_t address);
int32_t lowest_between(const struct code_region *region, uint32_t start, uint32_t end);
uint32_t find_block(struct probe *probe, uc_engine *uc, uint32_t address, uint32_t size);

/* stack.c */
void note_stack(struct probe *probe, uc_engine *uc, uint32_t pc, int32_t delta);
void note_frame(struct probe *probe, uc_engine *uc, uint32_t pc, uint32_t sp, uint32_t lowest);
bool on_process_stack(const struct probe *probe, uc_engine *uc);
void follow_stack(struct probe *probe, uc_engine *uc, uint32_t pc);

/* contexts.c */
void find_context(struct probe *probe, uc_engine *uc);
void leave_handler(struct probe *probe, uc_engine *uc);
uint32_t running_thread(const struct probe *probe);

/* timeline.c */
void next_interval(struct probe *probe, uc_engine *uc);
void note_lowest(struct probe *probe, uint32_t pc, uint32_t sp, uint32_t lowest);
void cut_interval(struct probe *probe, const struct code_region *region, uint32_t pc);

/* heap.c */
void note_heap_returns(struct probe *probe, uc_engine *uc, uint32_t address);

/* exceptions.c */
bool exception_before(struct probe *probe, uc_engine *uc, uint32_t pc);
bool may_be_interrupted(struct probe *probe, uc_engine *uc);

/* peripherals.c */
void begin_exact_access(struct probe *probe, uc_engine *uc, uint32_t pc);

/* hooks.c */
bool probe_cut_block(struct probe *probe, uc_engine *uc, uint32_t pc);

/* callers.c */
uint32_t number_of_caller(struct probe *probe, uc_engine *uc, uint32_t entry, uint32_t sp);

/* hooks.c and heap.c: hooks, or called by the hook on every instruction */
void probe_stack_pointer(uc_engine *uc, uint64_t address64, uint32_t size, void *user_data);
void probe_stack_change(uc_engine *uc, uint64_t address64, uint32_t size, void *user_data);
void probe_allocator_entry(uc_engine *uc, uint64_t address, uint32_t size, void *user_data);
void probe_stop_point(uc_engine *uc, uint64_t address, uint32_t size, void *user_data);

/* instructions.c */
bool instructions_known(struct probe *probe, struct block *block);

/* shadow.c */
void shadow_stored(struct shadow *shadow, uint32_t address, uint32_t bytes);
void shadow_heap_event(struct shadow *shadow, const struct heap_event *event, bool in_allocator);
void shadow_push_frame(struct probe *probe, uc_engine *uc, uint32_t pc, uint32_t frame, bool floats);
void shadow_pop_frame(struct probe *probe, uint32_t frame, bool floats);

#endif
