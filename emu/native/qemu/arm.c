/* The Cortex-M. */
#include <malloc.h>
#include <string.h>

#include "../common/paths.h"
#include "parts.h"

enum { SP = 13, LR = 14, PC = 15, THUMB = 1 };

enum { CCR_BITS = 1 << 9 | 1 << 0 }; /* at reset: STKALIGN, and NONBASETHRDENA in some versions of QEMU */

static void *core;                /* QEMU's object */
static const uint32_t *registers; /* r0 to r14 */
static const uint32_t nothing;

static void *attach(void *cpu)
{
    core = cpu;
    registers = find_registers(cpu, 0, PC);
    plugin.sp = &registers[SP];
    plugin.status = plugin.vectors = &nothing;
    return plugin.qemu.object_property_get_link(cpu, "memory", plugin.qemu.error_fatal);
}

static bool is_set(const uint8_t *bits, uint32_t address)
{
    size_t before = 0; /* bits of the earlier regions */
    for (int i = 0; i < plugin.code_count; i++) {
        const struct region *region = &plugin.code[i];
        if (address >= region->start && address < region->end) {
            const size_t bit = before + (address - region->start) / 2;
            return bits[bit / 8] >> bit % 8 & 1;
        }
        before += (region->end - region->start) / 2;
    }
    return false;
}

static bool changes_sp(uint32_t address, const uint8_t *bytes)
{
    (void)bytes;
    return is_set(plugin.sp_changes, address);
}

static bool sets_sp_anew(uint32_t following) { return is_set(plugin.sp_anew, following); }

/* Finds the core's own registers in QEMU's state by their values at reset (CPUARMState.v7m, from other_sp on):
 *
 *     SP of the other stacks [3], VECBASE [2], BASEPRI [2], CONTROL [2], CCR [2], CFSR [2], HFSR, DFSR, SFSR,
 *     MMFAR [2], BFAR, SFAR, MPU_CTRL [2], the exception's number
 */
static void boot(void)
{
    enum { VECBASE = 3, BASEPRI = 5, CONTROL = 7, CCR = 9, CFSR = 11, EXCEPTION = 22, STACK_ALIGNED = 1 << 9 };
    const uint32_t *end = (const uint32_t *)(const void *)((const uint8_t *)core + malloc_usable_size(core));
    const uint32_t *found = NULL;
    for (const uint32_t *at = registers; at + EXCEPTION < end; at++) {
        if (at[VECBASE] != plugin.vector_table || (at[CCR] & STACK_ALIGNED) == 0 || at[EXCEPTION] != 0) continue;
        uint32_t others = at[BASEPRI] | at[BASEPRI + 1] | at[CONTROL] | at[CONTROL + 1];
        for (int i = CFSR; i < EXCEPTION; i++) others |= at[i];
        if (others != 0 || (at[CCR] & ~(uint32_t)CCR_BITS) != 0) continue;
        if (found != NULL) refuse("the core's exception state is in two places");
        found = at;
    }
    if (found == NULL) refuse("the core's exception state is not where it can be found");
    plugin.process_sp = &found[0];
    plugin.control = &found[CONTROL];
    plugin.exception = &found[EXCEPTION];
}

/* Python stops at exceptions, and handles the blocks that exceptions have cut short. */
static bool begins_exception(uint32_t address)
{
    (void)address;
    return false;
}

static void capture(uint32_t kept[REGISTERS]) { memcpy(kept, registers, PC * sizeof *registers); }

/* The frame: r0 to r3, r12, lr, the return address and xPSR, then perhaps floats (Armv7-M, B1.5.6). */
static uint32_t capture_interrupted(uint32_t kept[REGISTERS], uint32_t frame, bool floats)
{
    enum { R12 = 4, STACKED_LR, RETURN_ADDRESS, XPSR, WORDS, EXTENDED_BYTES = 104, REALIGNED = 1 << 9 };
    uint32_t bytes = 0, words[WORDS] = {0};
    const uint8_t *memory = memory_at(frame, &bytes);
    if (memory != NULL && bytes >= sizeof words) memcpy(words, memory, sizeof words);
    capture(kept);
    memcpy(kept, words, R12 * sizeof *words);
    kept[12] = words[R12];
    kept[LR] = words[STACKED_LR];
    kept[SP] = frame + (floats ? EXTENDED_BYTES : (uint32_t)sizeof words) + (words[XPSR] & REALIGNED ? 4 : 0);
    return words[RETURN_ADDRESS] & ~(uint32_t)THUMB;
}

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

/* STMDB Rn!, VSTMDB Rn! and STR Rt, [Rn, #-n]!: Armv7-M, A7.7.160, A7.7.255 and A7.7.161 */
static int saves_below(const uint8_t *bytes)
{
    const uint32_t first = halfword(bytes) & 0xfff0, second = halfword(bytes + 2), base = bytes[0] & 0xf;
    const bool floats = (first & 0xffb0) == 0xed20 && (second & 0x0e00) == 0x0a00;
    const bool saves = first == 0xe920 || floats || (first == 0xf840 && (second & 0x0f00) == 0x0d00);
    return saves && base < SP ? (int)base : -1;
}

/* Coprocessors 10 and 11 are the FPU (A5.3.18); an IT block has up to four instructions (A7.7.38). */
static bool uses_floats(const uint8_t *bytes, uint32_t *skips)
{
    const uint32_t first = halfword(bytes);
    const bool skipped = *skips > 0;
    if (skipped) --*skips;
    if ((first & 0xff00) == 0xbf00 && (first & 0xf) != 0) {
        *skips = first & 1 ? 4 : first & 2 ? 3 : first & 4 ? 2 : 1;
        return false;
    }
    return !skipped && (first & 0xec00) == 0xec00 && (halfword(bytes + 2) & 0x0e00) == 0x0a00;
}

static bool idles(const uint8_t *bytes) { return halfword(bytes) == 0xe7fe; } /* b . */

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
    .boot = boot,
    .changes_sp = changes_sp,
    .sets_sp_anew = sets_sp_anew,
    .saves_below = saves_below,
    .uses_floats = uses_floats,
    .capture_interrupted = capture_interrupted,
    .instruction_size = instruction_size,
    .idles = idles,
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
