/* Counts of blocks, instructions, loads and stores, and the places that call the other counters. */
#include "parts.h"

enum { WORD_BYTES = 4, TWO_WORDS_SHIFT = 3 };

/* A block as QEMU has translated it. */
struct translation {
    struct block *block;
    bool begins_exception, executable, idles;
    uint32_t function;       /* the function in which the block begins: index + 1, or 0 */
    uint32_t call_returns_to; /* the address after the block if a call ends it, else 0 */
    int saves_below;          /* of the last instruction */
    bool floats;              /* whether an instruction of it uses the FPU */
    uint32_t count;
    uint32_t addresses[]; /* (count) of its instructions */
};

/* An instruction that changes SP, and the next instruction. */
struct sp_change {
    uint32_t address, following;
    bool anew; /* to another stack, perhaps */
};

static const struct translation *current; /* the latest block */

/* ---- the stack --------------------------------------------------------------------------------------------------- */

static void on_sp_change(unsigned vcpu, void *data)
{
    (void)vcpu;
    const struct sp_change *change = data;
    look_at_sp(change->address, change->following, change->anew);
}

static void on_saved_registers(unsigned vcpu, void *data)
{
    (void)vcpu;
    uint32_t registers[REGISTERS];
    plugin.core->capture(registers);
    note_saved_registers(registers[(uintptr_t)data]);
}

/* ---- blocks ------------------------------------------------------------------------------------------------------ */

static struct block *find_block(uint32_t address, uint32_t size, uint32_t instructions)
{
    uint32_t at = (address >> 1) * 2654435761u ^ size * 40503u ^ instructions;
    for (int probes = 0; probes < BLOCKS; probes++, at++) {
        struct block *block = &plugin.shared->blocks[at % BLOCKS];
        if (!block->instructions) {
            *block = (struct block){.address = address, .size = size, .instructions = instructions};
            return block;
        }
        if (block->address == address && block->size == size && block->instructions == instructions) return block;
    }
    refuse("more than %d blocks of code", BLOCKS);
}

/* Subtracts the counts of the current block from the instruction at `pc` on, which has not run. */
static void cut_current_block(uint32_t pc)
{
    if (current == NULL) return;
    for (uint32_t i = 0; i < current->count; i++) {
        if (current->addresses[i] != pc) continue;
        struct block *block = current->block;
        block->executions--;
        plugin.shared->instructions -= current->count - i;
        if (plugin.profile) plugin.shared->nodes[plugin.shared->counted_node].instructions -= current->count - i;
        if (i > 0) find_block(block->address, pc - block->address, i)->executions++;
        return;
    }
}

static void on_block(unsigned vcpu, void *data)
{
    (void)vcpu;
    const struct translation *translation = data;
    struct shared *shared = plugin.shared;
    if (!translation->executable) plugin.core->refuse_fetch(translation->addresses[0]);
    if (shared->wanted) {
        plugin.core->capture(shared->registers);
        shared->wanted = 0;
        return;
    }
    if (*plugin.vectors != plugin.watched_vectors) plugin.core->watch_vectors();
    if (translation->begins_exception) {
        if (plugin.core->is_fault(translation->addresses[0])) stop_machine(translation->addresses[0]);
        cut_current_block(plugin.core->take_exception(translation->addresses[0]));
    }
    if (translation->idles && translation != current) {
        if (!shared->goes_on_idling) stop_machine(translation->addresses[0]);
        shared->goes_on_idling = 0;
    }
    struct block *block = translation->block;
    if (plugin.profile) {
        const uint32_t returns_to = current != NULL ? current->call_returns_to : 0;
        count_on_path(block->address, translation->function, block->instructions, returns_to);
    }
    const int saved_below = current != NULL ? current->saves_below : -1;
    current = translation;
    const uint32_t sp_change = shared->blocks[shared->current_block].sp_change;
    shared->previous_block = shared->current_block;
    shared->current_block = (uint32_t)(block - shared->blocks);
    look_at_sp(sp_change ? sp_change & ~1u : block->address, block->address, sp_change & 1);
    if (saved_below >= 0) on_saved_registers(vcpu, (void *)(uintptr_t)saved_below);
    if (translation->floats) note_floats();
    if (shared->instructions >= shared->timeline.end) next_interval();
    block->executions++;
    shared->instructions += block->instructions;
    if (plugin.in_allocator) note_returns(block->address);
}

/* The instruction of the current block at which QEMU has left that block, because the instruction accesses a device.
 *
 * QEMU runs this instruction in a block of its own, so that the device sees the exact time, and goes on with another block
 * after it. QEMU reports only the accesses of the block with this one instruction. So the block counts when it makes its
 * first access.
 */
static void on_lone_access(unsigned vcpu, qemu_plugin_meminfo_t info, uint64_t address, void *data)
{
    (void)vcpu, (void)info, (void)address;
    const struct translation *translation = data;
    struct shared *shared = plugin.shared;
    if (translation == current) return; /* on_block has counted it, or an earlier access has */
    cut_current_block(translation->addresses[0]);
    current = translation;
    shared->previous_block = shared->current_block;
    shared->current_block = (uint32_t)(translation->block - shared->blocks);
    translation->block->executions++;
    shared->instructions++;
    if (plugin.profile) shared->nodes[shared->counted_node].instructions++;
}

/* ---- loads and stores -------------------------------------------------------------------------------------------- */

static void on_access(unsigned vcpu, qemu_plugin_meminfo_t info, uint64_t address, void *data)
{
    (void)vcpu, (void)data;
    uint64_t *counts = qemu_plugin_mem_is_store(info) ? plugin.shared->stores : plugin.shared->loads;
    for (int i = 0; i < plugin.region_count; i++) {
        if (address >= plugin.regions[i].start && address < plugin.regions[i].end) {
            counts[i]++;
            return;
        }
    }
}

static void on_access_of_two_words(unsigned vcpu, qemu_plugin_meminfo_t info, uint64_t address, void *data)
{
    on_access(vcpu, info, address, data);
    if (qemu_plugin_mem_size_shift(info) == TWO_WORDS_SHIFT) on_access(vcpu, info, address + WORD_BYTES, data);
}

static void on_exclusive_store(unsigned vcpu, qemu_plugin_meminfo_t info, uint64_t address, void *data)
{
    if (qemu_plugin_mem_is_store(info)) on_access(vcpu, info, address, data);
}

static void on_compare_and_swap(unsigned vcpu, qemu_plugin_meminfo_t info, uint64_t address, void *data)
{
    static bool swaps; /* the load comes first, and tells whether the store happens */
    if (!qemu_plugin_mem_is_store(info)) swaps = plugin.core->swaps((uint32_t)address);
    if (!qemu_plugin_mem_is_store(info) || swaps) on_access(vcpu, info, address, data);
}

static void watch_accesses(struct qemu_plugin_insn *insn, const uint8_t *bytes)
{
    static const qemu_plugin_vcpu_mem_cb_t callbacks[] = {
        [ALL_ACCESSES] = on_access,
        [TWO_WORDS] = on_access_of_two_words,
        [ONLY_STORES] = on_exclusive_store,
        [COMPARE_AND_SWAP] = on_compare_and_swap,
    };
    const enum accesses accesses = plugin.core->accesses(bytes);
    if (accesses == NO_ACCESSES) return;
    qemu_plugin_register_vcpu_mem_cb(insn, callbacks[accesses], QEMU_PLUGIN_CB_R_REGS, QEMU_PLUGIN_MEM_RW, NULL);
}

/* ---- translation ------------------------------------------------------------------------------------------------- */

bool is_executable(uint32_t address)
{
    for (int i = 0; i < plugin.code_count; i++) {
        if (address >= plugin.code[i].start && address < plugin.code[i].end) return true;
    }
    return plugin.core->refuse_fetch == NULL;
}

void on_translation(qemu_plugin_id_t id, struct qemu_plugin_tb *tb)
{
    (void)id;
    if (!plugin.booted && plugin.core->boot != NULL) plugin.core->boot();
    plugin.booted = true;
    if (plugin.bare) return;
    const size_t count = qemu_plugin_tb_n_insns(tb);
    struct translation *translation = allocate(sizeof *translation + count * sizeof *translation->addresses);
    if (count == 1) {
        qemu_plugin_register_vcpu_mem_cb(qemu_plugin_tb_get_insn(tb, 0), on_lone_access, QEMU_PLUGIN_CB_NO_REGS,
                                         QEMU_PLUGIN_MEM_RW, translation);
    }
    uint32_t size = 0, previous = 0;
    uint8_t room[FIRST_BYTES];
    const uint8_t *bytes = NULL;
    bool sp_changed = false; /* for the instruction before; the next block does the last one */
    int saves_below = -1;    /* likewise */
    uint32_t skips = 0;
    for (size_t i = 0; i < count; i++) {
        struct qemu_plugin_insn *insn = qemu_plugin_tb_get_insn(tb, i);
        const uint32_t address = (uint32_t)qemu_plugin_insn_vaddr(insn);
        bytes = plugin.generation->first_bytes(insn, room);
        if (sp_changed) {
            struct sp_change *change = allocate(sizeof *change);
            *change = (struct sp_change){previous, address, plugin.core->sets_sp_anew(address)};
            qemu_plugin_register_vcpu_insn_exec_cb(insn, on_sp_change, QEMU_PLUGIN_CB_R_REGS, change);
        }
        if (saves_below >= 0) {
            void *base = (void *)(uintptr_t)saves_below;
            qemu_plugin_register_vcpu_insn_exec_cb(insn, on_saved_registers, QEMU_PLUGIN_CB_R_REGS, base);
        }
        if (plugin.traffic) watch_accesses(insn, bytes);
        watch_allocator(insn, address);
        translation->addresses[i] = previous = address;
        size += plugin.core->instruction_size(bytes);
        sp_changed = plugin.core->changes_sp(address, bytes);
        if (plugin.exception == NULL) continue;
        saves_below = plugin.core->saves_below(bytes);
        translation->floats |= plugin.core->uses_floats(bytes, &skips);
    }
    translation->saves_below = saves_below;
    translation->count = (uint32_t)count;
    if (plugin.profile) {
        const bool called = plugin.core->is_call(bytes); /* of the last instruction */
        translation->function = function_at(&plugin.shared->calls, translation->addresses[0]);
        translation->call_returns_to = called ? translation->addresses[0] + size : 0;
    }
    translation->begins_exception = plugin.core->begins_exception(translation->addresses[0]);
    translation->idles = count == 1 && plugin.core->idles != NULL && plugin.core->idles(bytes);
    translation->executable = is_executable(translation->addresses[0]);
    translation->block = find_block(translation->addresses[0], size, translation->count);
    const bool anew = sp_changed && plugin.core->sets_sp_anew(translation->addresses[0] + size);
    translation->block->sp_change = sp_changed ? previous + anew : 0;
    qemu_plugin_register_vcpu_tb_exec_cb(tb, on_block, QEMU_PLUGIN_CB_R_REGS, translation);
}
