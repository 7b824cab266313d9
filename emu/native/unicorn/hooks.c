/* Hooks that run inside Unicorn and count without Python.
 *
 * A hook at the start of each block knows how many instructions the block has and how far it lowers the stack pointer,
 * so a single instruction has a hook only if it changes SP by an amount that the code does not tell. */
#include "parts.h"

size_t probe_size(void) { return sizeof(struct probe); }

/* Must run before the hooks; false if the host has no memory. */
bool probe_start(struct probe *probe)
{
    start_calls(&probe->calls);
    return start_code(probe);
}

void probe_release(struct probe *probe) { release_code(probe); }

/* Block is about to run. If a call ended the block before it, return_address is that call's return address, else 0. */
static void note_call(struct probe *probe, uc_engine *uc, const struct block *block, uint32_t return_address)
{
    bool called = return_address != 0 && return_address != block->address &&
                  read_register(probe, uc, UC_ARM_REG_LR) == (return_address | 1u);
    if (!called && goes_on(&probe->calls, block->address, block->function))
        return;
    uint32_t sp = read_register(probe, uc, UC_ARM_REG_SP);
    follow_calls(&probe->calls, block->address, block->function, called ? return_address : 0, sp);
}

void probe_block(uc_engine *uc, uint64_t address64, uint32_t size, void *user_data)
{
    struct probe *probe = user_data;
    uint32_t address = (uint32_t)address64;
    const struct context *context = running(probe);
    if ((address == context->heap_call.return_address || address == context->break_call.return_address) && address != 0)
        note_heap_returns(probe, uc, address);
    if (probe->stop_reason == STOP_ALLOCATED)
        return; /* treated as a pause */
    if (probe->instructions >= probe->pause_at) {
        stop(probe, uc, STOP_PAUSE); /* the block does not run: its hook will be called again */
        return;
    }
    if (probe->instructions >= probe->event_at && exception_before(probe, uc, address))
        return; /* the block has not begun */
    if (probe->instructions >= probe->timeline.end)
        next_interval(probe, uc);
    struct block *block = &probe->blocks[probe->current_block];
    uint32_t return_address = block->return_address;
    if (block->address != address || block->size != size) { /* a shortcut for loops of one block */
        uint32_t index = find_block(probe, uc, address, size);
        if (index == 0) {
            stop(probe, uc, STOP_OUT_OF_MEMORY);
            return;
        }
        block = &probe->blocks[index];
        if (probe->table.capacity != 0 && !instructions_known(probe, block)) {
            stop(probe, uc, STOP_UNKNOWN_CODE); /* the hook will be called again, as after a pause */
            return;
        }
        if (block->idles && !may_be_interrupted(probe, uc)) {
            stop(probe, uc, STOP_IDLE);
            return;
        }
        probe->previous_block = probe->current_block;
        probe->current_block = index;
    }
    probe->block_serial++;
    probe->instructions += block->instructions;
    block->executions++;
    if (probe->calls.node_capacity != 0) {
        note_call(probe, uc, block, return_address);
        probe->calls.nodes[probe->calls.current].instructions += block->instructions;
    }
    if (block->lowest < 0)
        note_stack(probe, uc, address, block->lowest);
}

static void note_stack_from(struct probe *probe, uc_engine *uc, uint32_t address)
{
    const struct block *block = &probe->blocks[probe->current_block];
    note_stack(probe, uc, address, lowest_between(code_region_at(probe, address), address, block->address + block->size));
}

/* Code hook after each instruction that moves SP by an amount that the code does not tell. */
void probe_stack_pointer(uc_engine *uc, uint64_t address64, uint32_t size, void *user_data)
{
    (void)size;
    note_stack_from(user_data, uc, (uint32_t)address64);
}

/* Code hook after each instruction that gives SP a new value, and on each instruction of code without symbols. */
void probe_stack_change(uc_engine *uc, uint64_t address64, uint32_t size, void *user_data)
{
    struct probe *probe = user_data;
    uint32_t address = (uint32_t)address64;
    (void)size;
    follow_stack(probe, uc, address);
    if (probe->stop_reason != STOP_STACK_CHANGE)
        note_stack_from(probe, uc, address);
}

/* Python has found the stack after STOP_STACK_CHANGE and made it current: note SP on that stack. */
void probe_note_change(struct probe *probe, uc_engine *uc)
{
    find_context(probe, uc);
    note_stack(probe, uc, probe->change_address, 0);
}

/* Code hook at the first instruction of emu_yield and of the functions that end the program. */
void probe_stop_point(uc_engine *uc, uint64_t address, uint32_t size, void *user_data)
{
    struct probe *probe = user_data;
    (void)size;
    stop(probe, uc, address == probe->yield_address ? STOP_YIELD : STOP_EXIT);
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

/* The machine stopped at pc inside the current block: subtract the part that did not run; false if out of memory. */
bool probe_cut_block(struct probe *probe, uc_engine *uc, uint32_t pc)
{
    struct block block = probe->blocks[probe->current_block];
    probe->blocks[probe->current_block].executions--;
    probe->instructions -= block.instructions;
    struct call_node *node = probe->calls.node_capacity != 0 ? &probe->calls.nodes[probe->calls.current] : NULL;
    if (node != NULL)
        node->instructions -= block.instructions;

    const struct code_region *region = code_region_at(probe, block.address);
    struct stack *stack = &probe->stacks[probe->current_stack];
    struct snapshot *snapshot = &stack->snapshots[stack->latest_snapshot];
    if (snapshot->block_serial == probe->block_serial && snapshot->lowest >= stack->limit) {
        uint32_t lowest = snapshot->registers[13] + (uint32_t)lowest_between(region, snapshot->pc, pc);
        if (lowest < stack->snapshots[stack->latest_snapshot ^ 1].lowest)
            snapshot->lowest = lowest;
        else
            stack->latest_snapshot ^= 1;
    }
    cut_interval(probe, region, pc);
    if (pc == block.address) {
        probe->current_block = 0; /* nothing of it has run */
        return true;
    }
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
