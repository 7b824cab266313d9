/* The board's memory and peripherals, which cover those of QEMU's own machine. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "parts.h"

enum { NOTHING_PRIORITY = 10, BOARD_PRIORITY, NS_OF_AN_INSTRUCTION = 2 /* see emu/machines/qemu/process.py */ };
static const uint64_t SPACE_END = 1ull << 32;

static uint64_t read_peripheral(void *opaque, uint64_t offset, unsigned size)
{
    return read_registers(opaque, (uint32_t)offset, size);
}

static void write_peripheral(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    write_registers(opaque, (uint32_t)offset, size, (uint32_t)value);
}

static const struct memory_region_ops peripheral_operations = {
    .read = read_peripheral,
    .write = write_peripheral,
    .endianness = LITTLE_ENDIAN_DEVICE,
    .valid = {.smallest = 1, .largest = 4},
    .implemented = {.smallest = 1, .largest = 4},
};

static void add(void *container, uint64_t start, void *region, int priority)
{
    plugin.qemu.memory_region_add_subregion_overlap(container, start, region, priority);
}

static void add_nothing(void *container, uint64_t start, uint64_t end)
{
    if (start == end) return;
    void *region = allocate(MEMORY_REGION_BYTES);
    plugin.qemu.memory_region_init_io(region, NULL, plugin.qemu.unassigned_mem_ops, NULL, "emu.nothing", end - start);
    add(container, start, region, NOTHING_PRIORITY);
}

void hide_machine(void *container)
{
    add_nothing(container, 0, plugin.core->own.start);
    add_nothing(container, plugin.core->own.end, SPACE_END);
}

static void add_memory(void *container, uint32_t start, uint32_t size, size_t offset, bool writable)
{
    const struct internals *qemu = &plugin.qemu;
    void *region = allocate(MEMORY_REGION_BYTES);
    const struct window window = {{start, start + size}, plugin.memory + offset, writable};
    if (plugin.window_count == REGIONS) refuse("more than %d memories", REGIONS);
    plugin.windows[plugin.window_count++] = window;
    char name[32];
    snprintf(name, sizeof name, "emu.%08x", start);
    if (writable) {
        qemu->memory_region_init_ram_ptr(region, NULL, name, size, plugin.memory + offset);
    } else { /* plain ROM would ignore writes; this ROM makes them bus faults */
        qemu->memory_region_init_rom_device(region, NULL, qemu->unassigned_mem_ops, NULL, name, size,
                                            qemu->error_fatal);
        memcpy(qemu->memory_region_get_ram_ptr(region), plugin.memory + offset, size);
    }
    add(container, start, region, BOARD_PRIORITY);
}

const uint8_t *memory_at(uint32_t address, uint32_t *bytes)
{
    for (int i = 0; i < plugin.window_count; i++) {
        const struct window *window = &plugin.windows[i];
        if (address < window->region.start || address >= window->region.end) continue;
        *bytes = window->region.end - address;
        return window->contents + (address - window->region.start);
    }
    return NULL;
}

/* ---- peripherals ---- */

/* An access ends QEMU's block of code, so the clock has counted the accessing instruction, and none after it. */
static uint64_t instructions_before(void *nothing)
{
    (void)nothing;
    return (uint64_t)plugin.qemu.qemu_clock_get_ns(VIRTUAL_CLOCK) / NS_OF_AN_INSTRUCTION - 1;
}

static uint8_t *window_at(uint32_t address, uint32_t bytes, bool writable)
{
    for (int i = 0; i < plugin.window_count; i++) {
        const struct window *window = &plugin.windows[i];
        if (address < window->region.start || address >= window->region.end) continue;
        if (window->region.end - address < bytes || (writable && !window->writable)) return NULL;
        return window->contents + (address - window->region.start);
    }
    return NULL;
}

static bool load(void *nothing, uint32_t address, void *data, uint32_t bytes)
{
    (void)nothing;
    const uint8_t *memory = window_at(address, bytes, false);
    if (memory != NULL) memcpy(data, memory, bytes);
    return memory != NULL;
}

static bool store(void *nothing, uint32_t address, const void *data, uint32_t bytes)
{
    (void)nothing;
    uint8_t *memory = window_at(address, bytes, true);
    if (memory != NULL) memcpy(memory, data, bytes);
    return memory != NULL;
}

static void add_peripherals(void *container)
{
    for (struct peripheral *each = plugin.peripherals.first; each != NULL; each = each->next) {
        void *region = allocate(MEMORY_REGION_BYTES);
        plugin.qemu.memory_region_init_io(region, NULL, &peripheral_operations, each, "emu.peripheral", each->size);
        add(container, each->start, region, BOARD_PRIORITY);
    }
}

/* The board is lines of a word and numbers (hexadecimal):
 *
 *     ram START SIZE OFFSET           memory, and the offset of its contents in the file
 *     rom START SIZE OFFSET
 *     region START SIZE               memory with counted loads and stores
 *     code START SIZE                 executable memory
 *     stack FLOOR TOP
 *     changes OFFSET                  the offset of the map of SP's changes in the file
 *     anew OFFSET                     likewise of the map of changes to another stack
 *     vectors ADDRESS                 the vector table at reset
 *     traffic                         loads and stores are counted
 *     functions COUNT                 call paths are followed; COUNT lines follow
 *     function START END
 *     bare                            nothing is counted
 *     interval LENGTH                 the timeline's first length, in instructions
 *     allocator ENTRY FUNCTION FIRST  struct allocator_entry
 *
 * All others are lines of describe_peripheral.
 */
void read_board(void *container)
{
    FILE *file = fopen(plugin.board, "r");
    if (file == NULL) refuse("%s cannot be read", plugin.board);
    struct function_range *functions = NULL;
    uint32_t most_functions = 0;
    char line[512], word[16];
    plugin.peripherals = (struct peripherals){
        .output = &plugin.shared->output, .poll = &plugin.shared->poll, .instructions = &plugin.shared->instructions, .now = instructions_before, .load = load, .store = store};
    while (fgets(line, sizeof line, file) != NULL) {
        unsigned long a = 0, b = 0, c = 0;
        if (sscanf(line, "%15s %lx %lx %lx", word, &a, &b, &c) < 1) continue;
        const struct region region = {(uint32_t)a, (uint32_t)(a + b)};
        if (!strcmp(word, "ram") || !strcmp(word, "rom")) {
            add_memory(container, (uint32_t)a, (uint32_t)b, c, word[1] == 'a');
        } else if (!strcmp(word, "region") && plugin.region_count < REGIONS) {
            plugin.regions[plugin.region_count++] = region;
        } else if (!strcmp(word, "code") && plugin.code_count < REGIONS) {
            plugin.code[plugin.code_count++] = region;
        } else if (!strcmp(word, "stack")) {
            plugin.stack_floor = (uint32_t)a, plugin.stack_top = (uint32_t)b;
        } else if (!strcmp(word, "changes")) {
            plugin.sp_changes = plugin.memory + a;
        } else if (!strcmp(word, "anew")) {
            plugin.sp_anew = plugin.memory + a;
        } else if (!strcmp(word, "vectors")) {
            plugin.vector_table = (uint32_t)a;
        } else if (!strcmp(word, "traffic")) {
            plugin.traffic = true;
        } else if (!strcmp(word, "functions")) {
            plugin.profile = true;
            plugin.functions = functions = allocate(a * sizeof *functions);
            most_functions = (uint32_t)a;
        } else if (!strcmp(word, "function") && plugin.function_count < most_functions) {
            functions[plugin.function_count++] = (struct function_range){(uint32_t)a, (uint32_t)b};
        } else if (!strcmp(word, "bare")) {
            plugin.bare = true;
        } else if (!strcmp(word, "interval")) {
            plugin.first_interval = (uint32_t)a;
        } else if (!strcmp(word, "allocator") && plugin.allocator_count < ALLOCATOR_ENTRIES) {
            plugin.allocator[plugin.allocator_count++] =
                (struct allocator_entry){(uint32_t)a, (uint32_t)b, (uint32_t)c};
            plugin.follows_break |= b == HEAP_BREAK;
        } else if (!describe_peripheral(&plugin.peripherals, line)) {
            refuse("%s: cannot take the line: %s", plugin.board, line);
        }
    }
    fclose(file);
    add_peripherals(container);
}
