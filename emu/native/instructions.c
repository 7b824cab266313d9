/* The hook on every instruction: for what has to know each access to memory. Unicorn's own hooks on memory will not do:
 * behind a conditional load or store they leave the core in the state of its IT block (2.1.4). */
#include "shadow_parts.h"

size_t instruction_size(void) { return sizeof(struct instruction); }

/* Where the number of the instruction at address stands; NULL outside of memory that holds code. */
uint32_t *number_at(struct probe *probe, uint32_t address)
{
    for (uint32_t i = 0; i < probe->code_region_count; i++) {
        const struct code_region *region = &probe->code_regions[i];
        if (address - region->start < region->end - region->start)
            return &probe->table.number_at[i][(address - region->start) / 2];
    }
    return NULL;
}

/* Whether Python has described all of the block. */
bool instructions_known(struct probe *probe, struct block *block)
{
    const uint32_t *number = block->known ? NULL : number_at(probe, block->address);
    for (uint32_t i = 0; number != NULL && i < block->size / 2; i++)
        if (number[i] == 0) {
            probe->table.unknown_address = block->address;
            probe->table.unknown_size = block->size;
            return false;
        }
    block->known = 1;
    return true;
}

uint32_t core_register(const struct probe *probe, uc_engine *uc, uint32_t number)
{
    switch (number) {
    case REGISTER_SP: return read_register(probe, uc, UC_ARM_REG_SP);
    case REGISTER_LR: return read_register(probe, uc, UC_ARM_REG_LR);
    case REGISTER_PC: return read_register(probe, uc, UC_ARM_REG_PC);
    default: return read_register(probe, uc, UC_ARM_REG_R0 + (int)number);
    }
}

/* Where the first byte is that the instruction accesses; *base is the pointer that it uses. */
uint32_t accessed_address(const struct probe *probe, uc_engine *uc, const struct instruction *at, uint32_t pc,
                          uint32_t *base)
{
    *base = at->base == REGISTER_PC ? (pc + 4) & ~3u : core_register(probe, uc, at->base);
    uint32_t index = at->index != NO_REGISTER ? core_register(probe, uc, at->index) << at->index_shift : 0;
    return *base + (uint32_t)at->displacement + index;
}

static void count_traffic(struct probe *probe, uc_engine *uc, const struct instruction *at, uint32_t pc)
{
    uint32_t base, address = accessed_address(probe, uc, at, pc, &base);
    uint64_t *counts = at->access == ACCESS_LOAD ? probe->loads : probe->stores;
    uint32_t bytes = (uint32_t)at->count * at->size / at->elements;
    for (uint32_t element = 0; element < at->elements; element++, address += bytes)
        for (uint32_t i = 0; i < probe->data_region_count; i++)
            if (address >= probe->data_regions[2 * i] && address < probe->data_regions[2 * i + 1]) {
                counts[i]++;
                break;
            }
}

/* The instruction that called the function that begins at at; at itself where that one has not run. */
static struct instruction *calling_instruction(struct probe *probe, uc_engine *uc, struct instruction *at)
{
    uint32_t behind = read_register(probe, uc, UC_ARM_REG_LR) & ~1u;
    for (uint32_t size = 4; size >= 2; size -= 2) {
        const uint32_t *number = number_at(probe, behind - size);
        if (number != NULL && *number > NOT_AN_INSTRUCTION)
            return &probe->table.instructions[*number];
    }
    return at;
}

/* What else has to be done; false where the instruction does not run after all. */
static bool serve(struct probe *probe, uc_engine *uc, struct instruction *at, uint32_t address, uint32_t size)
{
    if (at->watch & WATCH_STACK_POINTER)
        probe_stack_pointer(uc, address, size, probe);
    if (at->watch & WATCH_STACK_CHANGE)
        probe_stack_change(uc, address, size, probe);
    if (probe->stop_reason != STOP_NONE)
        return false; /* all of this comes again */
    if (at->watch & WATCH_ALLOCATOR)
        probe_allocator_entry(uc, address, size, probe);
    if (at->watch & WATCH_STOP)
        probe_stop_point(uc, address, size, probe);
    if (probe->shadow != NULL && at->watch & WATCH_PROGRAM)
        shadow_program_begins(probe->shadow);
    if (probe->shadow != NULL && at->watch & WATCH_STRING)
        check_string_function(probe, uc, calling_instruction(probe, uc, at), address, (enum string_function)at->string);
    return probe->stop_reason == STOP_NONE;
}

/* Code hook on every instruction, before it runs. */
void probe_instruction(uc_engine *uc, uint64_t address64, uint32_t size, void *user_data)
{
    struct probe *probe = user_data;
    uint32_t address = (uint32_t)address64;
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
