/* The Xtensa core de233_fpu, made more like the LX7 of an ESP32-S3: 64 address registers, and unaligned and atomic accesses
 * that work.
 *
 * The plugin knows the beginning of QEMU's state of the core (CPUXtensaState): a pointer to the configuration, a0 to a15,
 * pc, 256 special and 256 user registers, and the register file.
 */
#include <string.h>

#include "../common/paths.h"
#include "parts.h"

enum { A0 = 124, SP = 1, WINDOW = 16, ADDRESS_REGISTERS = 64, EMULATED_ADDRESS_REGISTERS = 32 };
enum { SCOMPARE1 = 12, WINDOWBASE = 72, WINDOWSTART = 73, ATOMCTL = 99, EPC1 = 177, DEPC = 192 };
enum { PS = 230, VECBASE = 231, EXCCAUSE = 232, EXCVADDR = 238 };
enum { PS_EXCM = 1 << 4, SYSCALL = 1, LEVEL1_INTERRUPT = 4, ALLOCA = 5, FETCH_PROHIBITED = 20 };
enum { VECTOR_BYTES = 0x40, LAST_WINDOW_VECTOR = 0x140, DEBUG_VECTOR = 0x280, KERNEL_VECTOR = 0x300, USER_VECTOR = 0x340, DOUBLE_VECTOR = 0x3C0 };
enum { ENTRY = 0x36, PS_CALLINC_SHIFT = 16, INCREMENT_SHIFT = 30, ADDRESS_MASK = 0x3FFFFFFF };
enum { WINDOWS = ADDRESS_REGISTERS / 4, BASE_SAVE_BYTES = 16, DEEPEST_PATH = 1024 };
enum { NO_WINDOW = UINT32_MAX, ATOMIC_EVERYWHERE = 0x15 };

struct configuration { /* XtensaConfig, the beginning */
    const char *name;
    uint64_t options;
    int register_count, core_register_count;
    struct {
        int32_t fields[5];
    } registers[1 + 16 + 64 + 256 + 256];
    uint32_t address_registers;
};
static const uint64_t UNALIGNED_ACCESS = 1ull << 38; /* XTENSA_OPTION_HW_ALIGNMENT */

struct state { /* CPUXtensaState, the beginning */
    struct configuration *configuration;
    uint32_t a[WINDOW];
    uint32_t pc;
    uint32_t special[256];
    uint32_t user[256];
    uint32_t physical[ADDRESS_REGISTERS];
};

static struct state *state;
static void (*raise_exception)(struct state *state, uint32_t pc, uint32_t cause, uint32_t address); /* returns to QEMU */
static uint32_t handler_window = NO_WINDOW; /* WINDOWBASE at the last exception that was not for a window */

static void *attach(void *cpu)
{
    uint32_t *window = find_registers(cpu, A0, WINDOW);
    state = (struct state *)(void *)((uint8_t *)window - offsetof(struct state, a));
    struct configuration *configuration = state->configuration;
    if (strcmp(configuration->name, "de233_fpu") != 0) refuse("the core is %s, not de233_fpu", configuration->name);
    if (configuration->address_registers != EMULATED_ADDRESS_REGISTERS) {
        refuse("the core has %u address registers", configuration->address_registers);
    }
    configuration->address_registers = ADDRESS_REGISTERS;
    configuration->options |= UNALIGNED_ACCESS;
    void *helper = plugin.generation->find_helper("exception_cause_vaddr");
    memcpy(&raise_exception, &helper, sizeof helper);
    plugin.sp = &state->a[SP];
    plugin.status = &state->special[PS];
    plugin.status_bits = PS_EXCM;
    plugin.vectors = &state->special[VECBASE];
    return plugin.qemu.get_system_memory();
}

/* Whether the instruction writes a1, except ENTRY and RETW, which end a block. (Instruction Set Architecture, 7.3) */
static bool changes_sp(uint32_t address, const uint8_t *bytes)
{
    (void)address;
    const uint8_t t = bytes[0] >> 4, s = bytes[1] & 15, r = bytes[1] >> 4;
    switch (bytes[0] & 15) {
    case 0x0: /* QRST; MOVSP is in ST0, whose other instructions write register t or none */
    {
        const uint8_t op1 = bytes[2] & 15, op2 = bytes[2] >> 4;
        const bool writes_t = (op1 == 0 && op2 == 0) || op1 == 3 || (op1 == 1 && op2 == 6); /* ST0, RSR, XSR */
        return r == SP || (writes_t && t == SP);
    }
    case 0x1: /* L32R */
        return t == SP;
    case 0x2: /* LSAI: loads, MOVI, ADDI, ADDMI; stores count too, which does no harm */
        return t == SP;
    case 0x8: /* L32I.N */
        return t == SP;
    case 0xA: /* ADD.N */
    case 0xB: /* ADDI.N */
        return r == SP;
    case 0xC: /* MOVI.N */
        return s == SP;
    case 0xD: /* MOV.N */
        return t == SP;
    default:
        return false;
    }
}

/* Instruction Set Architecture, 7.1: by the first four bits. From 14 on they mean an extension; de233_fpu has none. */
static uint32_t instruction_size(const uint8_t *bytes) { return (bytes[0] & 15) < 8 ? 3 : 2; }

/* CALL0 to CALL12, CALLX0 to CALLX12. */
static bool is_call(const uint8_t *bytes)
{
    return (bytes[0] & 15) == 5 || ((bytes[0] & 15) == 0 && (bytes[0] >> 6) == 3 && bytes[1] >> 4 == 0 && bytes[2] == 0);
}

enum { LSAI = 2, CACHE = 7, S32C1I = 14 }; /* Instruction Set Architecture, 7.3: LSAI and what its field r may be */

static enum accesses accesses(const uint8_t *bytes)
{
    if ((bytes[0] & 15) != LSAI) return ALL_ACCESSES;
    return bytes[1] >> 4 == CACHE ? NO_ACCESSES : bytes[1] >> 4 == S32C1I ? COMPARE_AND_SWAP : ALL_ACCESSES;
}

static uint32_t vector_at(uint32_t address) { return address - state->special[VECBASE]; }

static bool begins_exception(uint32_t address)
{
    const uint32_t vector = vector_at(address);
    return vector <= DOUBLE_VECTOR && vector % VECTOR_BYTES == 0;
}

/* The machine stops for a fault when the vector begins to run. A vector that cannot run gets a breakpoint. */
static void watch_vectors(void)
{
    static const uint32_t vectors[] = {DEBUG_VECTOR, KERNEL_VECTOR, USER_VECTOR, DOUBLE_VECTOR};
    plugin.watched_vectors = *plugin.vectors;
    for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++) {
        const uint32_t address = *plugin.vectors + vectors[i];
        if (!is_executable(address)) set_breakpoint(address);
    }
}

static bool is_fault(uint32_t address)
{
    const uint32_t vector = vector_at(address), cause = state->special[EXCCAUSE];
    if (vector == DEBUG_VECTOR) return true;
    if (vector != KERNEL_VECTOR && vector != USER_VECTOR && vector != DOUBLE_VECTOR) return false;
    return cause != SYSCALL && cause != LEVEL1_INTERRUPT && cause != ALLOCA;
}

static uint32_t take_exception(uint32_t address)
{
    const uint32_t vector = vector_at(address);
    const bool of_window = vector <= LAST_WINDOW_VECTOR;
    handler_window = of_window ? NO_WINDOW : state->special[WINDOWBASE];
    if (of_window) return state->special[EPC1];
    if (vector != KERNEL_VECTOR && vector != USER_VECTOR) return NOWHERE; /* an interrupt comes between instructions */
    return state->special[EXCCAUSE] == LEVEL1_INTERRUPT ? NOWHERE : state->special[EPC1];
}

/* A handler runs in the interrupted code's window, and lowers its a1. In the windows' own handlers, and after a handler
 * has rotated the window, a1 belongs to another frame. At reset a1 has no meaning yet.
 */
/* Its stacks are not followed. */
static bool sets_sp_anew(uint32_t following) { return (void)following, false; }

static bool has_stack(void) { return state->special[WINDOWBASE] == handler_window; }

/* The chip allows atomic stores to internal memory at reset; QEMU's core refuses them unless this is set. */
static void boot(void) { state->special[ATOMCTL] = ATOMIC_EVERYWHERE; }

static void refuse_fetch(uint32_t address) { raise_exception(state, address, FETCH_PROHIBITED, address); }

static void capture(uint32_t kept[REGISTERS])
{
    static const int special[] = {PS, WINDOWBASE, WINDOWSTART, EXCCAUSE, EPC1, EXCVADDR, DEPC};
    *kept++ = state->pc;
    for (size_t i = 0; i < sizeof special / sizeof *special; i++) *kept++ = state->special[special[i]];
    memcpy(kept, state->physical, sizeof state->physical);
    for (uint32_t i = 0; i < WINDOW; i++) { /* QEMU keeps the window's registers apart */
        kept[(state->special[WINDOWBASE] * 4 + i) % ADDRESS_REGISTERS] = state->a[i];
    }
}

/* The number of registers by which the ENTRY at `entry` will rotate the window; the arguments are at this distance. */
static uint32_t rotation(uint32_t entry)
{
    uint32_t bytes;
    const uint8_t *code = memory_at(entry, &bytes);
    return code != NULL && *code == ENTRY ? 4 * (state->special[PS] >> PS_CALLINC_SHIFT & 3) : 0;
}

static uint32_t link_of(uint32_t entry)
{
    const uint32_t by = rotation(entry);
    return (state->a[by] & ADDRESS_MASK) | by / 4 << INCREMENT_SHIFT;
}

static uint32_t return_address(uint32_t link, uint32_t entry)
{
    return (link & ADDRESS_MASK) | (entry & ~(uint32_t)ADDRESS_MASK);
}

static uint32_t argument(uint32_t entry, uint32_t number) { return state->a[(rotation(entry) + 2 + number) % WINDOW]; }

static uint32_t result(uint32_t link) { return state->a[4 * (link >> INCREMENT_SHIFT) + 2]; }

static uint32_t word_at(const uint8_t *bytes)
{
    return bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 | (uint32_t)bytes[3] << 24;
}

static bool swaps(uint32_t address)
{
    uint32_t bytes = 0;
    const uint8_t *memory = memory_at(address, &bytes);
    return memory == NULL || word_at(memory) == state->special[SCOMPARE1];
}

/* A register of the function whose window begins at `base`. QEMU keeps the window's registers apart. */
static uint32_t register_of(uint32_t base, uint32_t number)
{
    const uint32_t offset = (4 * (base - state->special[WINDOWBASE]) + number) % ADDRESS_REGISTERS;
    return offset < WINDOW ? state->a[offset] : state->physical[(4 * base + number) % ADDRESS_REGISTERS];
}

/* Follows the callers as emu/architectures/xtensa/windows.py does: in the register file, then in the 16 bytes below SP
 * to which they were spilled. */
static uint64_t path_key(uint32_t entry, const uint8_t *stack, uint32_t stack_bytes)
{
    const uint32_t link = link_of(entry), stack_start = state->a[SP] - BASE_SAVE_BYTES;
    uint32_t sp = state->a[SP], a0 = state->a[0], base = state->special[WINDOWBASE], turned = 0;
    bool in_file = true;
    uint64_t key = mixed(mixed(0, link), sp);
    for (int depth = 0; depth < DEEPEST_PATH && a0 >> INCREMENT_SHIFT != 0; depth++) {
        key = mixed(mixed(key, a0), sp);
        const uint32_t fours = a0 >> INCREMENT_SHIFT;
        base = (base - fours) % WINDOWS;
        turned += fours;
        in_file = in_file && turned < WINDOWS && (state->special[WINDOWSTART] >> base & 1) != 0;
        const uint32_t offset = sp - BASE_SAVE_BYTES - stack_start;
        if (in_file) {
            a0 = register_of(base, 0);
            sp = register_of(base, SP);
        } else if (offset < stack_bytes && stack_bytes - offset >= 8) {
            a0 = word_at(stack + offset);
            sp = word_at(stack + offset + 4);
        } else {
            break;
        }
    }
    return key;
}

const struct core xtensa = {
    .target = "xtensa",
    .set_register = "xtensa_cpu_gdb_write_register",
    .below_sp = BASE_SAVE_BYTES,
    .attach = attach,
    .changes_sp = changes_sp,
    .instruction_size = instruction_size,
    .is_call = is_call,
    .accesses = accesses,
    .swaps = swaps,
    .boot = boot,
    .watch_vectors = watch_vectors,
    .has_stack = has_stack,
    .sets_sp_anew = sets_sp_anew,
    .begins_exception = begins_exception,
    .is_fault = is_fault,
    .take_exception = take_exception,
    .refuse_fetch = refuse_fetch,
    .capture = capture,
    .link = link_of,
    .return_address = return_address,
    .argument = argument,
    .path_key = path_key,
    .result = result,
};
