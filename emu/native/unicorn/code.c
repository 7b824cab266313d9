/* Straight-line code: facts from the machine code of a block, found once. */
#include "parts.h"

#include <stdlib.h>

#define BLOCK_BYTES_MAX 4096u

/* Whether the instruction at code has four bytes. */
static bool is_wide(const uint8_t *code) { return code[1] >> 3 >= 0x1d; }

const struct code_region *code_region_at(const struct probe *probe, uint32_t address)
{
    for (uint64_t i = 0; i < probe->code_region_count; i++) {
        const struct code_region *region = &probe->code_regions[i];
        if (address >= region->start && address < region->end)
            return region;
    }
    return NULL;
}

/* The lowest SP relative to SP at start, up to end or to a dynamic change, after which a hook continues. */
int32_t lowest_between(const struct code_region *region, uint32_t start, uint32_t end)
{
    int32_t depth = 0, lowest = 0;
    for (uint32_t address = start; address < end && address < region->end; address += 2) {
        int32_t delta = region->sp_delta[(address - region->start) / 2];
        if (delta == SP_DYNAMIC)
            break;
        depth += delta;
        if (depth < lowest)
            lowest = depth;
    }
    return lowest;
}

/* Whether the instruction before address changes SP dynamically. If so, a hook at address reads SP, and checks whether
 * SP has moved to another stack. */
static bool behind_dynamic(const struct probe *probe, uc_engine *uc, const struct code_region *region, uint32_t address)
{
    uint32_t index = (address - region->start) / 2;
    uint8_t code[2] = {0};
    if (index >= 1 && region->sp_delta[index - 1] == SP_DYNAMIC)
        return true; /* of two bytes: else address would be inside it */
    return index >= 2 && region->sp_delta[index - 2] == SP_DYNAMIC &&
           probe->api.mem_read(uc, address - 4, code, sizeof code) == UC_ERR_OK && is_wide(code);
}

/* Fill in the number of instructions, and whether the last one is a call. */
static void read_code(const struct probe *probe, uc_engine *uc, struct block *block)
{
    uint8_t code[BLOCK_BYTES_MAX];
    uint32_t last = 0;
    if (block->size > sizeof code || probe->api.mem_read(uc, block->address, code, block->size) != UC_ERR_OK)
        return;
    for (uint32_t offset = 0; offset < block->size; block->instructions++) {
        last = offset;
        offset += is_wide(&code[offset]) ? 4 : 2;
    }
    uint32_t first_half = (uint32_t)(code[last] | code[last + 1] << 8);
    block->idles = block->size == 2 && first_half == ENDLESS_LOOP;
    bool blx = block->size - last == 2 && (first_half & 0xff87) == 0x4780;
    bool bl = block->size - last == 4 && first_half >> 11 == 0x1e && (code[last + 3] & 0xd0) == 0xd0;
    if (bl || blx)
        block->return_address = block->address + block->size;
}

static bool make_room(struct probe *probe)
{
    uint32_t capacity = probe->block_capacity ? 2 * probe->block_capacity : 1024;
    struct block *blocks = realloc(probe->blocks, capacity * sizeof *blocks);
    if (blocks == NULL)
        return false;
    probe->blocks = blocks;
    probe->block_capacity = capacity;
    return true;
}

bool start_code(struct probe *probe)
{
    if (!make_room(probe))
        return false;
    probe->blocks[probe->block_count++] = (struct block){0};
    return true;
}

void release_code(struct probe *probe) { free(probe->blocks); }

/* Index of the block, made if it is new; 0 if the host has no memory left. */
uint32_t find_block(struct probe *probe, uc_engine *uc, uint32_t address, uint32_t size)
{
    const struct code_region *region = code_region_at(probe, address);
    uint32_t *slot = &region->block_at[(address - region->start) / 2];
    for (uint32_t index = *slot; index != 0; index = probe->blocks[index].other_size)
        if (probe->blocks[index].size == size)
            return index;
    if (probe->block_count == probe->block_capacity && !make_room(probe))
        return 0;
    struct block *block = &probe->blocks[probe->block_count];
    *block = (struct block){
        .address = address,
        .size = size,
        .other_size = *slot,
        .lowest = behind_dynamic(probe, uc, region, address) ? 0 : lowest_between(region, address, address + size),
        .function = function_at(&probe->calls, address),
    };
    read_code(probe, uc, block);
    if (block->return_address != 0 && block->return_address < region->end)
        region->is_returned_to[(block->return_address - region->start) / 2] = 1;
    *slot = probe->block_count;
    return probe->block_count++;
}
