/* The Cortex-M. */
#include <string.h>

#include "parts.h"

enum { SP = 13, PC = 15 };

static const uint32_t *registers; /* r0 to r14 */
static const uint32_t nothing;

static void *attach(void *cpu)
{
    registers = find_registers(cpu, 0, PC);
    plugin.sp = &registers[SP];
    plugin.status = plugin.vectors = &nothing;
    return plugin.qemu.object_property_get_link(cpu, "memory", plugin.qemu.error_fatal);
}

static bool changes_sp(uint32_t address, const uint8_t *bytes)
{
    (void)bytes;
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

/* The harness stops for exceptions by itself, and sees there what they have cut short. */
static bool begins_exception(uint32_t address)
{
    (void)address;
    return false;
}

static void capture(uint32_t kept[REGISTERS]) { memcpy(kept, registers, PC * sizeof *registers); }

const struct core arm = {
    .target = "arm",
    .set_register = "arm_cpu_gdb_write_register",
    .own = {0xE0000000u, 0xE0100000u}, /* Armv7-M, B3.1 */
    .attach = attach,
    .changes_sp = changes_sp,
    .begins_exception = begins_exception,
    .capture = capture,
};
