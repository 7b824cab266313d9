/* A QEMU plugin that gives a Cortex-M machine the memory of another board, and counts what runs on it.
 *
 * Arguments: board=FILE (see read_board), memory=FILE (the contents of all memories), shared=FILE (struct shared) and
 * output=FILE (what the firmware prints is appended to it). QEMU's standard input is a pipe of its parent's: it ends
 * when that does, however that may be, and QEMU with it.
 */
#define _GNU_SOURCE
#include "plugin.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <link.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "qemu.h"

#define EXPORTED __attribute__((visibility("default")))

EXPORTED int qemu_plugin_version = QEMU_PLUGIN_VERSION;

enum { SP = 13, PC = 15, NOTHING_PRIORITY = 10, BOARD_PRIORITY, MOST_FIXED = 16, NO_OUTPUT = -1 };
static const uint64_t SYSTEM_START = 0xE0000000u, SYSTEM_END = 0xE0100000u, SPACE_END = 1ull << 32; /* Armv7-M, B3.1 */

struct region {
    uint32_t start, end;
};

/* Registers of a peripheral: they keep what is written, but for those that always read as the same. */
struct peripheral {
    uint32_t start, size;
    long output; /* offset of the register whose bytes are printed, or NO_OUTPUT */
    uint8_t *contents;
    struct {
        uint32_t offset, value;
    } fixed[MOST_FIXED];
    int fixed_count;
};

/* An instruction that changes SP, and the one behind it. */
struct sp_change {
    uint32_t address, following;
};

/* One machine is in a process: QEMU's callbacks know no other owner. */
static struct {
    struct internals qemu;
    struct shared *shared;
    uint8_t *memory;
    const char *board;
    int output;
    const uint32_t *registers; /* the core's r0 to r14 */
    struct region regions[REGIONS];
    int region_count;
    uint32_t stack_floor, stack_top;
    const uint8_t *stack;      /* what is at stack_floor */
    const uint8_t *sp_changes; /* a bit for each halfword of the executable regions, one after the other */
    struct region code[REGIONS];
    int code_count;
    bool traffic;
} plugin = {.output = -1};

static __attribute__((noreturn, format(printf, 1, 2))) void refuse(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fputs("emu plugin: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    exit(1);
}

static void *allocate(size_t bytes)
{
    void *memory = calloc(1, bytes);
    if (memory == NULL) refuse("no memory left");
    return memory;
}

/* ---- counting ---------------------------------------------------------------------------------------------------- */

static void look_at_sp(uint32_t lowered_at, uint32_t pc)
{
    const uint32_t sp = plugin.registers[SP];
    struct lowest *lowest = &plugin.shared->lowest;
    if (sp >= lowest->sp && sp <= plugin.stack_top) return;
    if (sp < plugin.stack_floor || sp > plugin.stack_top) {
        if (plugin.shared->off_stack == 0) plugin.shared->off_stack = sp;
        return;
    }
    lowest->sp = sp;
    lowest->lowered_at = lowered_at;
    memcpy(lowest->registers, plugin.registers, PC * sizeof *lowest->registers);
    lowest->registers[PC] = pc;
    const uint32_t used = plugin.stack_top - sp;
    lowest->stack_bytes = used < STACK_KEPT ? used : STACK_KEPT;
    memcpy(lowest->stack, plugin.stack + (sp - plugin.stack_floor), lowest->stack_bytes);
}

static void on_block(unsigned vcpu, void *data)
{
    (void)vcpu;
    struct block *block = data;
    block->executions++;
    plugin.shared->instructions += block->instructions;
    const uint32_t sp_change = plugin.shared->blocks[plugin.shared->current_block].sp_change;
    plugin.shared->previous_block = plugin.shared->current_block;
    plugin.shared->current_block = (uint32_t)(block - plugin.shared->blocks);
    look_at_sp(sp_change ? sp_change : block->address, block->address);
}

static void on_sp_change(unsigned vcpu, void *data)
{
    (void)vcpu;
    const struct sp_change *change = data;
    look_at_sp(change->address, change->following);
}

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

static bool changes_sp(uint32_t address)
{
    size_t before = 0; /* bits of the regions before */
    for (int i = 0; i < plugin.code_count; i++) {
        const struct region *region = &plugin.code[i];
        if (address >= region->start && address < region->end) {
            const size_t bit = before + (address - region->start) / 2;
            return plugin.sp_changes[bit / 8] >> bit % 8 & 1;
        }
        before += (region->end - region->start) / 2;
    }
    return false;
}

static void on_translation(qemu_plugin_id_t id, struct qemu_plugin_tb *tb)
{
    (void)id;
    const size_t count = qemu_plugin_tb_n_insns(tb);
    uint32_t size = 0, previous = 0;
    for (size_t i = 0; i < count; i++) {
        struct qemu_plugin_insn *insn = qemu_plugin_tb_get_insn(tb, i);
        const uint32_t address = (uint32_t)qemu_plugin_insn_vaddr(insn);
        if (i > 0 && changes_sp(previous)) { /* a change by the last one is seen at the start of the next block */
            struct sp_change *change = allocate(sizeof *change);
            *change = (struct sp_change){previous, address};
            qemu_plugin_register_vcpu_insn_exec_cb(insn, on_sp_change, QEMU_PLUGIN_CB_R_REGS, change);
        }
        if (plugin.traffic) {
            qemu_plugin_register_vcpu_mem_cb(insn, on_access, QEMU_PLUGIN_CB_NO_REGS, QEMU_PLUGIN_MEM_RW, NULL);
        }
        size += (uint32_t)qemu_plugin_insn_size(insn);
        previous = address;
    }
    struct block *block = find_block((uint32_t)qemu_plugin_tb_vaddr(tb), size, (uint32_t)count);
    block->sp_change = changes_sp(previous) ? previous : 0;
    qemu_plugin_register_vcpu_tb_exec_cb(tb, on_block, QEMU_PLUGIN_CB_R_REGS, block);
}

/* ---- the board's memory ------------------------------------------------------------------------------------------ */

static uint64_t read_peripheral(void *opaque, uint64_t offset, unsigned size)
{
    const struct peripheral *peripheral = opaque;
    uint64_t value = 0;
    memcpy(&value, peripheral->contents + offset, size);
    for (int i = 0; i < peripheral->fixed_count; i++) {
        if (peripheral->fixed[i].offset == offset) value = peripheral->fixed[i].value;
    }
    return value;
}

static void write_peripheral(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    struct peripheral *peripheral = opaque;
    memcpy(peripheral->contents + offset, &value, size);
    const uint8_t byte = (uint8_t)value;
    if ((long)offset == peripheral->output && write(plugin.output, &byte, 1) != 1) refuse("output cannot be written");
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

/* Hides what the machine that QEMU knows has there: an access to what the board has not is a bus fault. */
static void add_nothing(void *container, uint64_t start, uint64_t end)
{
    void *region = allocate(MEMORY_REGION_BYTES);
    plugin.qemu.memory_region_init_io(region, NULL, plugin.qemu.unassigned_mem_ops, NULL, "emu.nothing", end - start);
    add(container, start, region, NOTHING_PRIORITY);
}

static void add_memory(void *container, uint32_t start, uint32_t size, size_t offset, bool writable)
{
    const struct internals *qemu = &plugin.qemu;
    void *region = allocate(MEMORY_REGION_BYTES);
    if (writable) {
        qemu->memory_region_init_ram_ptr(region, NULL, "emu.ram", size, plugin.memory + offset);
    } else { /* plain ROM would ignore writes; this one makes them bus faults */
        qemu->memory_region_init_rom_device(region, NULL, qemu->unassigned_mem_ops, NULL, "emu.rom", size,
                                            qemu->error_fatal);
        memcpy(qemu->memory_region_get_ram_ptr(region), plugin.memory + offset, size);
    }
    add(container, start, region, BOARD_PRIORITY);
}

static struct peripheral *add_peripheral(void *container, uint32_t start, uint32_t size, long output)
{
    struct peripheral *peripheral = allocate(sizeof *peripheral);
    *peripheral = (struct peripheral){.start = start, .size = size, .output = output, .contents = allocate(size + 8)};
    void *region = allocate(MEMORY_REGION_BYTES);
    plugin.qemu.memory_region_init_io(region, NULL, &peripheral_operations, peripheral, "emu.peripheral", size);
    add(container, start, region, BOARD_PRIORITY);
    return peripheral;
}

/* The board is lines of a word and numbers (hexadecimal):
 *
 *     ram START SIZE OFFSET           memory, and where in the file its contents are
 *     rom START SIZE OFFSET
 *     peripheral START SIZE OUTPUT    OUTPUT is an offset, or its SIZE where nothing is printed
 *     fixed OFFSET VALUE              of the last peripheral
 *     region START SIZE               where loads and stores are counted
 *     code START SIZE                 what the bits of the map of SP's changes are about
 *     stack FLOOR TOP OFFSET
 *     changes OFFSET                  where in the file that map is
 *     traffic                         loads and stores are counted at all
 */
static void read_board(void *container)
{
    FILE *file = fopen(plugin.board, "r");
    if (file == NULL) refuse("%s cannot be read", plugin.board);
    struct peripheral *peripheral = NULL;
    char line[128], word[16];
    while (fgets(line, sizeof line, file) != NULL) {
        unsigned long a = 0, b = 0, c = 0;
        if (sscanf(line, "%15s %lx %lx %lx", word, &a, &b, &c) < 1) continue;
        const struct region region = {(uint32_t)a, (uint32_t)(a + b)};
        if (!strcmp(word, "ram") || !strcmp(word, "rom")) {
            add_memory(container, (uint32_t)a, (uint32_t)b, c, word[1] == 'a');
        } else if (!strcmp(word, "peripheral")) {
            peripheral = add_peripheral(container, (uint32_t)a, (uint32_t)b, c < b ? (long)c : NO_OUTPUT);
        } else if (!strcmp(word, "fixed") && peripheral != NULL && peripheral->fixed_count < MOST_FIXED) {
            peripheral->fixed[peripheral->fixed_count].offset = (uint32_t)a;
            peripheral->fixed[peripheral->fixed_count++].value = (uint32_t)b;
        } else if (!strcmp(word, "region") && plugin.region_count < REGIONS) {
            plugin.regions[plugin.region_count++] = region;
        } else if (!strcmp(word, "code") && plugin.code_count < REGIONS) {
            plugin.code[plugin.code_count++] = region;
        } else if (!strcmp(word, "stack")) {
            plugin.stack_floor = (uint32_t)a, plugin.stack_top = (uint32_t)b, plugin.stack = plugin.memory + c;
        } else if (!strcmp(word, "changes")) {
            plugin.sp_changes = plugin.memory + a;
        } else if (!strcmp(word, "traffic")) {
            plugin.traffic = true;
        } else {
            refuse("%s: cannot take the line: %s", plugin.board, line);
        }
    }
    fclose(file);
}

/* ---- taking hold of QEMU ----------------------------------------------------------------------------------------- */

static void look_up(void *into, const char *name)
{
    void *found = dlsym(RTLD_DEFAULT, name);
    if (found == NULL) refuse("this QEMU does not export %s", name);
    memcpy(into, &found, sizeof found);
}

#define LOOK_UP(name) look_up(&plugin.qemu.name, #name)

/* Finds r0 to r14 in the core's state: gives each a value through gdb's function, and looks for all of them in a row. */
static const uint32_t *find_registers(void *cpu)
{
    uint32_t values[PC];
    for (int i = 0; i < PC; i++) {
        values[i] = 0x5EED0000u + 0x1230u * (uint32_t)i;
        if (plugin.qemu.arm_cpu_gdb_write_register(cpu, (uint8_t *)&values[i], i) != 4) refuse("no register %d", i);
    }
    const size_t size = plugin.qemu.object_type_get_instance_size(plugin.qemu.object_get_typename(cpu));
    uint8_t *state = cpu;
    uint32_t *found = NULL;
    for (size_t offset = 0; offset + sizeof values <= size; offset += 4) {
        if (memcmp(state + offset, values, sizeof values) != 0) continue;
        if (found != NULL) refuse("the core's registers are in two places");
        found = (uint32_t *)(void *)(state + offset);
    }
    if (found == NULL) refuse("the core's registers are not where they can be found");
    memset(found, 0, sizeof values);
    return found;
}

struct search {
    const void *sought; /* a text, or a pointer */
    size_t bytes;
    uint32_t wanted, unwanted; /* flags of the segments to look in */
    uint8_t *found;
    int times;
};

/* Looks for bytes in the segments of QEMU itself, the first object that there is. */
static int search_object(struct dl_phdr_info *object, size_t size, void *data)
{
    (void)size;
    struct search *search = data;
    for (int i = 0; i < object->dlpi_phnum; i++) {
        const ElfW(Phdr) *segment = &object->dlpi_phdr[i];
        if (segment->p_type != PT_LOAD || !(segment->p_flags & search->wanted)) continue;
        if (segment->p_flags & search->unwanted) continue;
        uint8_t *at = (uint8_t *)(uintptr_t)(object->dlpi_addr + segment->p_vaddr);
        const uint8_t *end = at + segment->p_filesz;
        while ((at = memmem(at, (size_t)(end - at), search->sought, search->bytes)) != NULL) {
            search->found = at++;
            search->times++;
        }
    }
    return 1;
}

static uint8_t *find_once(const void *sought, size_t bytes, uint32_t wanted, uint32_t unwanted)
{
    struct search search = {sought, bytes, wanted, unwanted, NULL, 0};
    dl_iterate_phdr(search_object, &search);
    return search.times == 1 ? search.found : NULL;
}

/* Makes QEMU keep the registers in the core's state whenever it calls back for an instruction.
 *
 * QEMU 7.2 takes plugins' callbacks for functions that look at no register, whatever QEMU_PLUGIN_CB_R_REGS says: inside
 * a block, SP's value may still be in a register of the host. The flag that says so stands in the table of helpers.
 */
static void let_callbacks_read_registers(void)
{
    static const char name[] = "\0plugin_vcpu_udata_cb"; /* with the end of the string before it */
    const char *text = (const char *)find_once(name, sizeof name, PF_R, PF_W | PF_X);
    if (text++ == NULL) refuse("this QEMU has no callbacks as those of 7.2");
    uint8_t *place = find_once(&text, sizeof text, PF_W, 0);
    if (place == NULL) refuse("this QEMU has no table of helpers as that of 7.2");
    struct helper_information *helper =
        (struct helper_information *)(void *)(place - offsetof(struct helper_information, name));
    if (helper->flags != CALL_READS_NO_GLOBALS) refuse("QEMU's callbacks have flags %#x", helper->flags);
    const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), start = (uintptr_t)helper & ~(page - 1);
    const size_t bytes = (uintptr_t)(helper + 1) - start;
    if (mprotect((void *)start, bytes, PROT_READ | PROT_WRITE) != 0) refuse("QEMU's table of helpers is locked");
    helper->flags = CALL_WRITES_NO_GLOBALS;
}

static void on_cpu(qemu_plugin_id_t id, unsigned index)
{
    (void)id;
    if (index != 0) refuse("the machine has more than one core");
    void *cpu = plugin.qemu.qemu_get_cpu(0);
    if (cpu == NULL) refuse("the core cannot be found");
    plugin.registers = find_registers(cpu);
    void *container = plugin.qemu.object_property_get_link(cpu, "memory", plugin.qemu.error_fatal);
    add_nothing(container, 0, SYSTEM_START);
    add_nothing(container, SYSTEM_END, SPACE_END);
    read_board(container);
    plugin.shared->lowest.sp = plugin.stack_top;
    plugin.shared->ready = sizeof *plugin.shared;
}

static void *end_with_parent(void *nothing)
{
    char byte;
    while (read(STDIN_FILENO, &byte, 1) > 0) continue;
    _exit(1);
    return nothing;
}

static void *map(const char *path, size_t *bytes)
{
    struct stat status;
    const int file = open(path, O_RDWR | O_CLOEXEC);
    if (file < 0 || fstat(file, &status) != 0) refuse("%s cannot be opened", path);
    *bytes = (size_t)status.st_size;
    void *memory = mmap(NULL, *bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (memory == MAP_FAILED) refuse("%s cannot be mapped", path);
    close(file);
    return memory;
}

static void take_argument(const char *argument)
{
    const char *value = strchr(argument, '=');
    if (value == NULL) refuse("an argument is NAME=FILE, not %s", argument);
    value++;
    size_t bytes;
    if (!strncmp(argument, "board=", 6)) {
        plugin.board = value;
    } else if (!strncmp(argument, "memory=", 7)) {
        plugin.memory = map(value, &bytes);
    } else if (!strncmp(argument, "shared=", 7)) {
        plugin.shared = map(value, &bytes);
        if (bytes != sizeof *plugin.shared) refuse("struct shared has %zu bytes, not %zu", sizeof *plugin.shared, bytes);
    } else if (!strncmp(argument, "output=", 7)) {
        plugin.output = open(value, O_WRONLY | O_APPEND | O_CLOEXEC);
    } else {
        refuse("there is no argument %s", argument);
    }
}

EXPORTED int qemu_plugin_install(qemu_plugin_id_t id, const qemu_info_t *info, int count, char **arguments);

EXPORTED int qemu_plugin_install(qemu_plugin_id_t id, const qemu_info_t *info, int count, char **arguments)
{
    if (info->version.min > QEMU_PLUGIN_VERSION || info->version.cur < QEMU_PLUGIN_VERSION) {
        refuse("QEMU has plugin API %d to %d, not %d", info->version.min, info->version.cur, QEMU_PLUGIN_VERSION);
    }
    if (!info->system_emulation || strcmp(info->target_name, "arm") != 0) refuse("this is not qemu-system-arm");
    for (int i = 0; i < count; i++) {
        char *copy = strdup(arguments[i]);
        if (copy == NULL) refuse("no memory left");
        take_argument(copy);
    }
    if (!plugin.board || !plugin.memory || !plugin.shared || plugin.output < 0) refuse("an argument is missing");
    LOOK_UP(qemu_get_cpu);
    LOOK_UP(object_get_typename);
    LOOK_UP(object_type_get_instance_size);
    LOOK_UP(object_property_get_link);
    LOOK_UP(memory_region_init_io);
    LOOK_UP(memory_region_init_ram_ptr);
    LOOK_UP(memory_region_init_rom_device);
    LOOK_UP(memory_region_get_ram_ptr);
    LOOK_UP(memory_region_add_subregion_overlap);
    LOOK_UP(arm_cpu_gdb_write_register);
    LOOK_UP(unassigned_mem_ops);
    LOOK_UP(error_fatal);
    let_callbacks_read_registers();
    const struct rlimit none = {0, 0};
    setrlimit(RLIMIT_CORE, &none); /* QEMU aborts where the core would lock up: that is reported, and needs no dump */
    pthread_t watch;
    if (pthread_create(&watch, NULL, end_with_parent, NULL) != 0) refuse("no thread to watch the parent with");
    qemu_plugin_register_vcpu_init_cb(id, on_cpu);
    qemu_plugin_register_vcpu_tb_trans_cb(id, on_translation);
    return 0;
}
