/* The Cortex-M. */
#include <string.h>

#include "../common/paths.h"
#include "parts.h"

enum { SP = 13, LR = 14, PC = 15, THUMB = 1 };

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
    size_t before = 0; /* bits of the earlier regions */
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

/* Python stops at exceptions, and handles the blocks that exceptions have cut short. */
static bool begins_exception(uint32_t address)
{
    (void)address;
    return false;
}

static void capture(uint32_t kept[REGISTERS]) { memcpy(kept, registers, PC * sizeof *registers); }

static uint32_t link_of(uint32_t entry)
{
    (void)entry;
    return registers[LR];
}

static uint32_t return_address(uint32_t link, uint32_t entry)
{
    (void)entry;
    return link & ~(uint32_t)THUMB;
}

static uint32_t argument(uint32_t entry, uint32_t number)
{
    (void)entry;
    return registers[number];
}

static uint32_t result(uint32_t link)
{
    (void)link;
    return registers[0];
}

static uint32_t halfword(const uint8_t *bytes) { return (uint32_t)(bytes[0] | bytes[1] << 8); }

/* Armv7-M, A5.1 */
static uint32_t instruction_size(const uint8_t *bytes) { return halfword(bytes) >> 11 >= 0x1d ? 4 : 2; }

static bool is_blx(const uint8_t *bytes) { return (halfword(bytes) & 0xff87) == 0x4780; } /* of a register */

static bool is_bl(const uint8_t *bytes)
{
    return halfword(bytes) >> 11 == 0x1e && (halfword(bytes + 2) & 0xd000) == 0xd000;
}

/* STREX, STREXB, STREXH: Armv7-M, A6.3.6 */
static bool is_exclusive_store(const uint8_t *bytes)
{
    const uint32_t first = halfword(bytes) & 0xfff0;
    return first == 0xe840 || (first == 0xe8c0 && (halfword(bytes + 2) & 0xe0) == 0x40);
}

/* LDRD and STRD: Armv7-M, A6.3.6 */
static bool is_of_two_words(const uint8_t *bytes)
{
    const uint32_t first = halfword(bytes);
    return (first & 0xfe40) == 0xe840 && (first & 0x0120) != 0;
}

static enum accesses accesses(const uint8_t *bytes)
{
    return is_exclusive_store(bytes) ? ONLY_STORES : is_of_two_words(bytes) ? TWO_WORDS : ALL_ACCESSES;
}

static bool is_call(const uint8_t *bytes) { return is_blx(bytes) || is_bl(bytes); }

/* Whether a word on the stack is the address after a call. */
static bool is_return_address(uint32_t word)
{
    if ((word & THUMB) == 0) return false;
    uint32_t bytes = 0;
    const uint8_t *code = memory_at(word - THUMB - 4, &bytes);
    if (code == NULL || bytes < 4) return false;
    return is_blx(code + 2) || is_bl(code);
}

/* A stale return address may count a path twice, but never hides a path. */
static uint64_t path_key(uint32_t entry, const uint8_t *stack, uint32_t stack_bytes)
{
    (void)entry;
    uint64_t key = mixed(mixed(0, registers[SP]), registers[LR]);
    for (uint32_t offset = 0; offset + 4 <= stack_bytes; offset += 4) {
        const uint32_t word = halfword(stack + offset) | halfword(stack + offset + 2) << 16;
        if (is_return_address(word)) key = mixed(mixed(key, offset), word);
    }
    return key;
}

const struct core arm = {
    .target = "arm",
    .set_register = "arm_cpu_gdb_write_register",
    .own = {0xE0000000u, 0xE0100000u}, /* Armv7-M, B3.1 */
    .reset_reads_memory = true,
    .attach = attach,
    .changes_sp = changes_sp,
    .instruction_size = instruction_size,
    .is_call = is_call,
    .accesses = accesses,
    .begins_exception = begins_exception,
    .capture = capture,
    .link = link_of,
    .return_address = return_address,
    .argument = argument,
    .path_key = path_key,
    .result = result,
};
