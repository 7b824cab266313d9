/* Access to QEMU: its functions by name, the core's registers by their values. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <link.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "parts.h"

static void look_up(void *into, const char *name)
{
    void *found = dlsym(RTLD_DEFAULT, name);
    if (found == NULL) refuse("this QEMU does not export %s", name);
    memcpy(into, &found, sizeof found);
}

#define LOOK_UP(name) look_up(&plugin.qemu.name, #name)

void look_up_internals(const char *set_register)
{
    LOOK_UP(qemu_get_cpu);
    LOOK_UP(cpu_breakpoint_insert);
    LOOK_UP(cpu_loop_exit_noexc);
    LOOK_UP(get_system_memory);
    LOOK_UP(object_get_typename);
    LOOK_UP(object_type_get_instance_size);
    LOOK_UP(object_property_get_link);
    LOOK_UP(memory_region_init_io);
    LOOK_UP(memory_region_init_ram_ptr);
    LOOK_UP(memory_region_init_rom_device);
    LOOK_UP(memory_region_get_ram_ptr);
    LOOK_UP(memory_region_add_subregion_overlap);
    LOOK_UP(unassigned_mem_ops);
    LOOK_UP(error_fatal);
    look_up(&plugin.qemu.set_register, set_register);
}

uint32_t *find_registers(void *cpu, int first, int count)
{
    uint32_t values[REGISTERS];
    for (int i = 0; i < count; i++) {
        values[i] = 0x5EED0000u + 0x1230u * (uint32_t)i;
        if (plugin.qemu.set_register(cpu, (uint8_t *)&values[i], first + i) != 4) refuse("no register %d", first + i);
    }
    const size_t size = plugin.qemu.object_type_get_instance_size(plugin.qemu.object_get_typename(cpu));
    const size_t bytes = (size_t)count * sizeof *values;
    uint8_t *state = cpu;
    uint32_t *found = NULL;
    for (size_t offset = 0; offset + bytes <= size; offset += 4) {
        if (memcmp(state + offset, values, bytes) != 0) continue;
        if (found != NULL) refuse("the core's registers are in two places");
        found = (uint32_t *)(void *)(state + offset);
    }
    if (found == NULL) refuse("the core's registers are not where they can be found");
    memset(found, 0, bytes);
    return found;
}

struct search {
    const void *sought; /* a text, or a pointer */
    size_t bytes;
    uint32_t wanted, unwanted; /* flags of the segments to look in */
    uint8_t *found;
    int times;
};

/* Looks for bytes in the segments of QEMU itself, the first loaded object. */
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

/* Finds a function that translated code calls, in the table of them. */
static struct helper_information *find_information(const char *name)
{
    char sought[64] = ""; /* starts with the terminator of the string before it */
    const size_t length = strlen(name);
    memcpy(sought + 1, name, length + 1);
    const char *text = (const char *)find_once(sought, length + 2, PF_R, PF_W | PF_X);
    if (text++ == NULL) refuse("this QEMU has no %s as that of 7.2", name);
    uint8_t *place = find_once(&text, sizeof text, PF_W, 0);
    if (place == NULL) refuse("this QEMU has no table of helpers as that of 7.2");
    return (struct helper_information *)(void *)(place - offsetof(struct helper_information, name));
}

void set_breakpoint(uint32_t pc)
{
    plugin.qemu.cpu_breakpoint_insert(plugin.qemu.qemu_get_cpu(0), pc, BREAKPOINT_OF_GDB, NULL);
}

void stop_machine(uint32_t pc)
{
    set_breakpoint(pc);
    plugin.qemu.cpu_loop_exit_noexc(plugin.qemu.qemu_get_cpu(0));
}

void *find_helper(const char *name) { return find_information(name)->function; }

/* Makes QEMU write the registers to the core's state before it calls back for an instruction.
 *
 * QEMU 7.2 assumes that plugins' callbacks read no register, despite QEMU_PLUGIN_CB_R_REGS: inside a block, SP's value
 * may still be in a register of the host. The flag for this is in the table of helpers.
 */
void let_callbacks_read_registers(void)
{
    struct helper_information *helper = find_information("plugin_vcpu_udata_cb");
    if (helper->flags != CALL_READS_NO_GLOBALS) refuse("QEMU's callbacks have flags %#x", helper->flags);
    const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), start = (uintptr_t)helper & ~(page - 1);
    const size_t bytes = (uintptr_t)(helper + 1) - start;
    if (mprotect((void *)start, bytes, PROT_READ | PROT_WRITE) != 0) refuse("QEMU's table of helpers is locked");
    helper->flags = CALL_WRITES_NO_GLOBALS;
}
