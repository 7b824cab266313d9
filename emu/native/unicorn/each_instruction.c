/* The hook on every instruction, for counters of memory accesses. Unicorn's own memory hooks do not work: after a
 * conditional load or store they leave the core in the state of its IT block (2.1.4). */
#include "shadow_parts.h"

static void count_traffic(struct probe *probe, uc_engine *uc, const struct instruction *at, uint32_t pc)
{
    uint32_t base, address = accessed_address(probe, uc, at, pc, &base);
    uint64_t *counts = at->access == ACCESS_LOAD ? probe->loads : probe->stores;
    uint32_t bytes = (uint32_t)at->count * at->size / at->elements;
    for (uint32_t element = 0; element < at->elements; element++, address += bytes)
        for (uint32_t i = 0; i < probe->data_region_count; i++)
            if (address >= probe->data_regions[2 * i] && address < probe->data_regions[2 * i + 1]) {
                if (at->status == NO_REGISTER)
                    counts[i]++;
                else
                    probe->tried = &counts[i], probe->tried_status = at->status;
                break;
            }
}

/* Count the exclusive store that was the last instruction, if it has stored. */
static void count_tried_store(struct probe *probe, uc_engine *uc)
{
    if (probe->tried != NULL && read_register(probe, uc, UC_ARM_REG_R0 + (int)probe->tried_status) == 0)
        ++*probe->tried;
    probe->tried = NULL;
}

/* The instruction that called the function beginning at `at`; `at` itself if that call has not run. */
static struct instruction *calling_instruction(struct probe *probe, uc_engine *uc, struct instruction *at)
{
    uint32_t after = read_register(probe, uc, UC_ARM_REG_LR) & ~1u;
    for (uint32_t size = 4; size >= 2; size -= 2) {
        const uint32_t *number = number_at(probe, after - size);
        if (number != NULL && *number > NOT_AN_INSTRUCTION)
            return &probe->table.instructions[*number];
    }
    return at;
}

/* Do the instruction's other tasks; false if the instruction does not run after all. */
static bool serve(struct probe *probe, uc_engine *uc, struct instruction *at, uint32_t address, uint32_t size)
{
    if (at->watch & WATCH_STACK_POINTER)
        probe_stack_pointer(uc, address, size, probe);
    if (at->watch & WATCH_STACK_CHANGE)
        probe_stack_change(uc, address, size, probe);
    if (probe->stop_reason != STOP_NONE)
        return false; /* the hook will be called again */
    if (at->watch & WATCH_ALLOCATOR)
        probe_allocator_entry(uc, address, size, probe);
    if (at->watch & WATCH_STOP)
        probe_stop_point(uc, address, size, probe);
    if (probe->shadow != NULL && at->watch & WATCH_PROGRAM)
        shadow_program_begins(probe->shadow);
    if (probe->shadow != NULL && at->watch & WATCH_STRING)
        check_string_function(probe, uc, calling_instruction(probe, uc, at), address, (enum string_function)at->string);
    if (probe->shadow != NULL && at->watch & WATCH_COPY)
        check_copy(probe, uc, calling_instruction(probe, uc, at), address);
    return probe->stop_reason == STOP_NONE;
}

/* Code hook on every instruction, before it runs. */
void probe_instruction(uc_engine *uc, uint64_t address64, uint32_t size, void *user_data)
{
    struct probe *probe = user_data;
    uint32_t address = (uint32_t)address64;
    count_tried_store(probe, uc);
    const uint32_t *number = number_at(probe, address);
    if (number == NULL)
        return;
    struct instruction *at = &probe->table.instructions[*number];
    if (at->watch != 0 && !serve(probe, uc, at, address, size))
        return;
    if (at->access != ACCESS_NONE && probe->data_region_count != 0)
        count_traffic(probe, uc, at, address);
    if (probe->shadow != NULL)
        shadow_instruction(probe, uc, at, address);
}
