/* Access to QEMU: its functions by name, the core's registers by their values. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <malloc.h>
#include <stdio.h>
#include <string.h>

#include "parts.h"

void *exported(const char *name)
{
    void *found = dlsym(RTLD_DEFAULT, name);
    if (found == NULL) refuse("this QEMU does not export %s", name);
    return found;
}

void *exported_helper(const char *name)
{
    char whole[64];
    snprintf(whole, sizeof whole, "helper_%s", name);
    return exported(whole);
}

static void look_up(void *into, const char *name)
{
    void *found = exported(name);
    memcpy(into, &found, sizeof found);
}

#define LOOK_UP(name) look_up(&plugin.qemu.name, #name)

void look_up_internals(const char *set_register)
{
    LOOK_UP(qemu_get_cpu);
    LOOK_UP(cpu_breakpoint_insert);
    LOOK_UP(cpu_loop_exit_noexc);
    LOOK_UP(cpu_reset);
    LOOK_UP(get_system_memory);
    LOOK_UP(object_property_get_link);
    LOOK_UP(memory_region_init_io);
    LOOK_UP(memory_region_init_ram_ptr);
    LOOK_UP(memory_region_init_rom_device);
    LOOK_UP(memory_region_get_ram_ptr);
    LOOK_UP(memory_region_add_subregion_overlap);
    LOOK_UP(qemu_clock_get_ns);
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
    const size_t size = malloc_usable_size(cpu);
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

void set_breakpoint(uint32_t pc)
{
    plugin.qemu.cpu_breakpoint_insert(plugin.qemu.qemu_get_cpu(0), pc, BREAKPOINT_OF_GDB, NULL);
}

void stop_machine(uint32_t pc)
{
    set_breakpoint(pc);
    plugin.qemu.cpu_loop_exit_noexc(plugin.qemu.qemu_get_cpu(0));
}
