/* The table of instructions, which Python fills block by block, and the registers and addresses of instructions. */
#include "shadow_parts.h"

size_t instruction_size(void) { return sizeof(struct instruction); }

/* The place of the number of the instruction at address; NULL outside memory for code. */
uint32_t *number_at(struct probe *probe, uint32_t address)
{
    for (uint32_t i = 0; i < probe->code_region_count; i++) {
        const struct code_region *region = &probe->code_regions[i];
        if (address - region->start < region->end - region->start)
            return &probe->table.number_at[i][(address - region->start) / 2];
    }
    return NULL;
}

/* Whether Python has described the whole block. */
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

/* The address of the first byte that the instruction accesses; *base is its pointer. */
uint32_t accessed_address(const struct probe *probe, uc_engine *uc, const struct instruction *at, uint32_t pc,
                          uint32_t *base)
{
    *base = at->base == REGISTER_PC ? (pc + 4) & ~3u : core_register(probe, uc, at->base);
    uint32_t index = at->index != NO_REGISTER ? core_register(probe, uc, at->index) << at->index_shift : 0;
    return *base + (uint32_t)at->displacement + index;
}
