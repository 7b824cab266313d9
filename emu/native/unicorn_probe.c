/* Hooks that run inside Unicorn and count without calling Python.
 *
 * A hook at the start of each block knows how many instructions the block has and how far it lowers the stack pointer,
 * so single instructions are hooked only where SP changes by an amount that the code does not tell. */
#include "unicorn_probe.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK_BYTES_MAX 4096u
#define NO_FUNCTION UINT32_MAX /* of the node at which nothing has run yet */
#define NO_RETURN_ADDRESS 1u   /* at which no instruction can be */

size_t probe_size(void) { return sizeof(struct probe); }

static uint32_t read_register(const struct probe *probe, uc_engine *uc, int id)
{
    uint32_t value = 0;
    probe->api.reg_read(uc, id, &value);
    return value;
}

static void stop(struct probe *probe, uc_engine *uc, enum stop_reason reason)
{
    probe->stop_reason = reason;
    probe->api.emu_stop(uc);
}

/* ---- code ---- */

static const struct code_region *code_region_at(const struct probe *probe, uint32_t address)
{
    for (uint64_t i = 0; i < probe->code_region_count; i++) {
        const struct code_region *region = &probe->code_regions[i];
        if (address >= region->start && address < region->end)
            return region;
    }
    return NULL;
}

/* The lowest SP relative to SP at start, up to end or to a dynamic change: a hook behind that one goes on from there. */
static int32_t lowest_between(const struct code_region *region, uint32_t start, uint32_t end)
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

/* Fill in what the machine code tells: how many instructions it is, and whether the last one is a call. */
static void read_code(const struct probe *probe, uc_engine *uc, struct block *block)
{
    uint8_t code[BLOCK_BYTES_MAX];
    uint32_t last = 0;
    if (block->size > sizeof code || probe->api.mem_read(uc, block->address, code, block->size) != UC_ERR_OK)
        return;
    for (uint32_t offset = 0; offset < block->size; block->instructions++) {
        last = offset;
        offset += code[offset + 1] >> 3 >= 0x1d ? 4 : 2;
    }
    uint32_t first_half = (uint32_t)(code[last] | code[last + 1] << 8);
    bool blx = block->size - last == 2 && (first_half & 0xff87) == 0x4780;
    bool bl = block->size - last == 4 && first_half >> 11 == 0x1e && (code[last + 3] & 0xd0) == 0xd0;
    if (bl || blx)
        block->return_address = block->address + block->size;
}

/* Index + 1 of the function with the last start up to address, where address is in it; else 0. */
static uint32_t function_at(const struct call_tree *calls, uint32_t address)
{
    uint32_t first = 0, end = calls->function_count;
    while (first < end) {
        uint32_t middle = first + (end - first) / 2;
        if (calls->functions[middle].start <= address)
            first = middle + 1;
        else
            end = middle;
    }
    return first != 0 && address < calls->functions[first - 1].end ? first : 0;
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

/* Index of the block, which is made where it is new; 0 where the host has no memory left. */
static uint32_t find_block(struct probe *probe, uc_engine *uc, uint32_t address, uint32_t size)
{
    const struct code_region *region = code_region_at(probe, address);
    uint32_t *slot = &region->block_at[(address - region->start) / 2];
    if (*slot != 0 && probe->blocks[*slot].size == size)
        return *slot;
    if (probe->block_count == probe->block_capacity && !make_room(probe))
        return 0;
    struct block *block = &probe->blocks[probe->block_count];
    *block = (struct block){
        .address = address,
        .size = size,
        .lowest = lowest_between(region, address, address + size),
        .function = function_at(&probe->calls, address),
    };
    read_code(probe, uc, block);
    *slot = probe->block_count;
    return probe->block_count++;
}

/* Must be called before the hooks are; false where the host has no memory. */
bool probe_start(struct probe *probe)
{
    if (!make_room(probe))
        return false;
    probe->blocks[probe->block_count++] = (struct block){0};
    struct call_tree *calls = &probe->calls;
    if (calls->node_capacity != 0) {
        calls->nodes[calls->node_count++] = (struct call_node){.function = NO_FUNCTION};
        calls->frames[calls->frame_count++] = (struct call_frame){.return_address = NO_RETURN_ADDRESS, .sp = UINT32_MAX};
    }
    return true;
}

void probe_release(struct probe *probe) { free(probe->blocks); }

/* ---- calls ---- */

/* The node for function called on the path of caller, which is made where it is new; caller where there is no room. */
static uint32_t callee_of(struct call_tree *calls, uint32_t caller, uint32_t function)
{
    uint32_t *link = &calls->nodes[caller].first_callee;
    while (*link != 0 && calls->nodes[*link].function != function)
        link = &calls->nodes[*link].next_sibling;
    if (*link == 0) {
        if (calls->node_count == calls->node_capacity) {
            calls->cut = 1;
            return caller;
        }
        calls->nodes[calls->node_count] = (struct call_node){.caller = caller, .function = function};
        *link = calls->node_count++;
    }
    return *link;
}

/* Remove the frame that a return to address leaves, or that a longjmp does: then code goes on in a function on the
 * path, behind its start. */
static void leave_frame(struct call_tree *calls, const struct block *block, uint32_t sp)
{
    bool at_start = block->function != 0 && calls->functions[block->function - 1].start == block->address;
    for (uint32_t count = calls->frame_count; calls->frames[count - 1].sp == sp; count--) {
        const struct call_frame *frame = &calls->frames[count - 1];
        bool jumped_back = !at_start && calls->nodes[frame->caller].function == block->function;
        if (frame->return_address == block->address || jumped_back) {
            calls->frame_count = count - 1;
            return;
        }
    }
}

static void enter_frame(struct call_tree *calls, uint32_t return_address, uint32_t sp, uint32_t caller)
{
    if (calls->frame_count == calls->frame_capacity)
        calls->cut = 1;
    else
        calls->frames[calls->frame_count++] =
            (struct call_frame){.return_address = return_address, .sp = sp, .caller = caller};
}

/* Keep up with the call path when block is about to run; return_address is where a call in the block before it would
 * return to, or 0. SP is what tells the truth: a function never raises it above what it was called with, so frames
 * with a lower one are gone, however they were left. A jump to another function (a tail call) takes over the frame. */
static void follow_calls(struct probe *probe, uc_engine *uc, const struct block *block, uint32_t return_address)
{
    struct call_tree *calls = &probe->calls;
    bool called = return_address != 0 && return_address != block->address &&
                  read_register(probe, uc, UC_ARM_REG_LR) == (return_address | 1u);
    uint32_t function = calls->nodes[calls->current].function;
    if (!called && function == block->function && calls->frames[calls->frame_count - 1].return_address != block->address)
        return;
    uint32_t sp = read_register(probe, uc, UC_ARM_REG_SP);
    while (calls->frames[calls->frame_count - 1].sp < sp)
        calls->frame_count--;
    if (called)
        enter_frame(calls, return_address, sp, callee_of(calls, calls->frames[calls->frame_count - 1].caller, function));
    else
        leave_frame(calls, block, sp);
    calls->current = callee_of(calls, calls->frames[calls->frame_count - 1].caller, block->function);
}

/* ---- stack ---- */

/* Note that SP goes to its present value plus delta. */
static void note_stack(struct probe *probe, uc_engine *uc, uint32_t pc, int32_t delta)
{
    uint32_t sp = read_register(probe, uc, UC_ARM_REG_SP);
    uint32_t lowest = sp + (uint32_t)delta;
    if (lowest >= probe->snapshots[probe->latest_snapshot].lowest)
        return;
    probe->latest_snapshot ^= 1;
    struct snapshot *snapshot = &probe->snapshots[probe->latest_snapshot];
    snapshot->lowest = lowest;
    snapshot->pc = pc;
    snapshot->block_serial = probe->block_serial;
    for (int i = 0; i <= 12; i++)
        snapshot->registers[i] = read_register(probe, uc, UC_ARM_REG_R0 + i);
    snapshot->registers[13] = sp;
    snapshot->registers[14] = read_register(probe, uc, UC_ARM_REG_LR);
    snapshot->registers[15] = pc;
    uint32_t from = sp < probe->stack_floor ? probe->stack_floor : sp; /* an overflow may have left the memory */
    if (from < probe->stack_top)
        probe->api.mem_read(uc, from, snapshot->stack, probe->stack_top - from);
    if (lowest < probe->stack_limit)
        stop(probe, uc, STOP_STACK_OVERFLOW);
}

/* ---- heap ---- */

static void record_heap_event(struct probe *probe, const struct heap_event *event)
{
    if (probe->heap_event_count < probe->heap_event_capacity)
        probe->heap_events[probe->heap_event_count++] = *event;
    if (probe->heap_event_count + 2 > probe->heap_event_capacity)
        probe->pause_at = 0; /* so that Python empties the list before it is full */
}

static void note_heap_return(struct probe *probe, uc_engine *uc)
{
    struct heap_call *call = &probe->heap_call;
    if (read_register(probe, uc, UC_ARM_REG_SP) != call->sp)
        return;
    call->return_address = 0;
    if (call->event.function == HEAP_FREE)
        return;
    call->event.result = read_register(probe, uc, UC_ARM_REG_R0);
    record_heap_event(probe, &call->event);
}

/* Code hook at the entry of each allocator function. */
void probe_allocator_entry(uc_engine *uc, uint64_t address, uint32_t size, void *user_data)
{
    struct probe *probe = user_data;
    struct heap_call *call = &probe->heap_call;
    const struct allocator_entry *entry = probe->allocator_entries;
    (void)size;
    uint32_t sp = read_register(probe, uc, UC_ARM_REG_SP);
    if (call->return_address != 0 && sp <= call->sp)
        return; /* malloc calling _malloc_r is one call; an outer frame that longjmp left does not come back */
    while (entry->address != address)
        entry++;

    int first = UC_ARM_REG_R0 + (int)entry->first_argument;
    uint32_t a = read_register(probe, uc, first), b = read_register(probe, uc, first + 1);
    uint64_t product = (uint64_t)a * b;
    call->event = (struct heap_event){.function = entry->function, .instructions = probe->instructions};
    switch ((enum heap_function)entry->function) {
    case HEAP_MALLOC: call->event.size = a; break;
    case HEAP_CALLOC: call->event.size = product > UINT32_MAX ? UINT32_MAX : (uint32_t)product; break;
    case HEAP_REALLOC: call->event.pointer = a, call->event.size = b; break;
    case HEAP_MEMALIGN: call->event.size = b; break;
    case HEAP_FREE: call->event.pointer = a; break;
    }
    call->sp = sp;
    call->return_address = read_register(probe, uc, UC_ARM_REG_LR) & ~1u;
    call->event.call_site = call->return_address;
    if (entry->function == HEAP_FREE)
        record_heap_event(probe, &call->event); /* now, as a bad pointer may keep free from returning */
}

/* ---- hooks on execution ---- */

void probe_block(uc_engine *uc, uint64_t address64, uint32_t size, void *user_data)
{
    struct probe *probe = user_data;
    uint32_t address = (uint32_t)address64;
    if (address == probe->heap_call.return_address && address != 0)
        note_heap_return(probe, uc);
    if (probe->instructions >= probe->pause_at) {
        stop(probe, uc, STOP_PAUSE); /* the block does not run: its hook comes again */
        return;
    }
    struct block *block = &probe->blocks[probe->current_block];
    uint32_t return_address = block->return_address;
    if (block->address != address || block->size != size) { /* a loop of one block is worth a shortcut */
        uint32_t index = find_block(probe, uc, address, size);
        if (index == 0) {
            stop(probe, uc, STOP_OUT_OF_MEMORY);
            return;
        }
        block = &probe->blocks[index];
        probe->previous_block = probe->current_block;
        probe->current_block = index;
    }
    probe->block_serial++;
    probe->instructions += block->instructions;
    block->executions++;
    if (probe->calls.node_capacity != 0) {
        follow_calls(probe, uc, block, return_address);
        probe->calls.nodes[probe->calls.current].instructions += block->instructions;
    }
    if (block->lowest < 0)
        note_stack(probe, uc, address, block->lowest);
}

/* Code hook behind each instruction that changes SP dynamically, and on each instruction of code without symbols. */
void probe_stack_pointer(uc_engine *uc, uint64_t address64, uint32_t size, void *user_data)
{
    struct probe *probe = user_data;
    uint32_t address = (uint32_t)address64;
    const struct block *block = &probe->blocks[probe->current_block];
    (void)size;
    note_stack(probe, uc, address, lowest_between(code_region_at(probe, address), address, block->address + block->size));
}

/* Code hook at the first instruction of emu_yield and of the functions that end the program. */
void probe_stop_point(uc_engine *uc, uint64_t address, uint32_t size, void *user_data)
{
    struct probe *probe = user_data;
    (void)size;
    stop(probe, uc, address == probe->yield_address ? STOP_YIELD : STOP_EXIT);
}

void probe_exception(uc_engine *uc, uint32_t number, void *user_data)
{
    struct probe *probe = user_data;
    probe->exception = number;
    stop(probe, uc, STOP_NONE);
}

bool probe_invalid_access(uc_engine *uc, uc_mem_type type, uint64_t address, int size, int64_t value, void *user_data)
{
    struct probe *probe = user_data;
    (void)uc, (void)value;
    probe->access_type = (uint32_t)type;
    probe->access_address = (uint32_t)address;
    probe->access_size = (uint32_t)size;
    return false; /* do not try again */
}

/* The machine stopped at pc inside the current block: take back what did not run. False where memory is short. */
bool probe_cut_block(struct probe *probe, uc_engine *uc, uint32_t pc)
{
    struct block block = probe->blocks[probe->current_block];
    probe->blocks[probe->current_block].executions--;
    probe->instructions -= block.instructions;
    struct call_node *node = probe->calls.node_capacity != 0 ? &probe->calls.nodes[probe->calls.current] : NULL;
    if (node != NULL)
        node->instructions -= block.instructions;

    const struct code_region *region = code_region_at(probe, block.address);
    struct snapshot *snapshot = &probe->snapshots[probe->latest_snapshot];
    if (snapshot->block_serial == probe->block_serial && snapshot->lowest >= probe->stack_limit) {
        uint32_t lowest = snapshot->registers[13] + (uint32_t)lowest_between(region, snapshot->pc, pc);
        if (lowest < probe->snapshots[probe->latest_snapshot ^ 1].lowest)
            snapshot->lowest = lowest;
        else
            probe->latest_snapshot ^= 1;
    }
    if (pc == block.address)
        return true;
    uint32_t index = find_block(probe, uc, block.address, pc - block.address);
    if (index == 0)
        return false;
    probe->current_block = index;
    probe->blocks[index].executions++;
    probe->instructions += probe->blocks[index].instructions;
    if (node != NULL)
        node->instructions += probe->blocks[index].instructions;
    return true;
}

/* ---- hook on data ---- */

void probe_traffic(uc_engine *uc, uc_mem_type type, uint64_t address, int size, int64_t value, void *user_data)
{
    struct probe *probe = user_data;
    (void)uc, (void)size, (void)value;
    for (uint32_t i = 0; i < probe->data_region_count; i++)
        if (address >= probe->data_regions[2 * i] && address < probe->data_regions[2 * i + 1]) {
            (type == UC_MEM_WRITE ? probe->stores : probe->loads)[i]++;
            return;
        }
}
