/* The Xtensa core de233_fpu, made more like the LX7 of an ESP32-S3: 64 address registers, and unaligned and atomic accesses
 * that work.
 *
 * Of QEMU's state of the core (CPUXtensaState) the plugin knows the beginning: a pointer to the configuration, a0 to a15,
 * pc, 256 special and 256 user registers, and the address registers behind the window.
 */
#include <string.h>

#include "parts.h"

enum { A0 = 124, SP = 1, WINDOW = 16, ADDRESS_REGISTERS = 64, EMULATED_ADDRESS_REGISTERS = 32 };
enum { WINDOWBASE = 72, WINDOWSTART = 73, ATOMCTL = 99, EPC1 = 177, DEPC = 192, PS = 230, VECBASE = 231, EXCCAUSE = 232, EXCVADDR = 238 };
enum { PS_EXCM = 1 << 4, SYSCALL = 1, LEVEL1_INTERRUPT = 4, ALLOCA = 5, FETCH_PROHIBITED = 20 };
enum { LAST_WINDOW_VECTOR = 0x140, DEBUG_VECTOR = 0x280, KERNEL_VECTOR = 0x300, USER_VECTOR = 0x340, DOUBLE_VECTOR = 0x3C0 };
enum { VECTOR_BYTES = 0x40, NO_WINDOW = UINT32_MAX, ATOMIC_EVERYWHERE = 0x15 };

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
static uint32_t handler_window = NO_WINDOW; /* WINDOWBASE where the last exception was taken; of a window's there is none */

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
    void *helper = find_helper("exception_cause_vaddr");
    memcpy(&raise_exception, &helper, sizeof helper);
    plugin.sp = &state->a[SP];
    plugin.status = &state->special[PS];
    plugin.status_bits = PS_EXCM;
    plugin.vectors = &state->special[VECBASE];
    return plugin.qemu.get_system_memory();
}

/* Whether it writes a1, but for ENTRY and RETW: they end a block. (Instruction Set Architecture, 7.3) */
static bool changes_sp(uint32_t address, const uint8_t *bytes)
{
    (void)address;
    const uint8_t t = bytes[0] >> 4, s = bytes[1] & 15, r = bytes[1] >> 4;
    switch (bytes[0] & 15) {
    case 0x0: /* QRST; MOVSP is one of ST0, whose others write t too if anything */
    {
        const uint8_t op1 = bytes[2] & 15, op2 = bytes[2] >> 4;
        return (op1 == 0 && op2 == 0 && t == SP) || r == SP || ((op1 == 3 || (op1 == 1 && op2 == 6)) && t == SP); /* RSR, XSR */
    }
    case 0x1: /* L32R */
        return t == SP;
    case 0x2: /* LSAI: loads, MOVI, ADDI, ADDMI; stores are taken for one, which does no harm */
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

static uint32_t vector_at(uint32_t address) { return address - state->special[VECBASE]; }

static bool begins_exception(uint32_t address)
{
    const uint32_t vector = vector_at(address);
    return vector <= DOUBLE_VECTOR && vector % VECTOR_BYTES == 0;
}

/* The machine stops for a fault when its vector begins to run; one that cannot is a breakpoint instead. */
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

/* A handler is in the window of what it interrupted, and lowers its a1. In the windows' own, and where one has turned the window
 * as they do, a1 belongs to another frame; at reset it is nothing yet.
 */
static bool has_stack(void) { return state->special[WINDOWBASE] == handler_window; }

/* On the chip nothing has to be set for atomic stores to internal memory; here the core would refuse them. */
static void boot(void) { state->special[ATOMCTL] = ATOMIC_EVERYWHERE; }

static void refuse_fetch(uint32_t address) { raise_exception(state, address, FETCH_PROHIBITED, address); }

static void capture(uint32_t kept[REGISTERS])
{
    static const int special[] = {PS, WINDOWBASE, WINDOWSTART, EXCCAUSE, EPC1, EXCVADDR, DEPC};
    *kept++ = state->pc;
    for (size_t i = 0; i < sizeof special / sizeof *special; i++) *kept++ = state->special[special[i]];
    memcpy(kept, state->physical, sizeof state->physical);
    for (uint32_t i = 0; i < WINDOW; i++) { /* QEMU keeps what is in the window apart */
        kept[(state->special[WINDOWBASE] * 4 + i) % ADDRESS_REGISTERS] = state->a[i];
    }
}

const struct core xtensa = {
    .target = "xtensa",
    .set_register = "xtensa_cpu_gdb_write_register",
    .below_sp = 16, /* the base save area */
    .attach = attach,
    .changes_sp = changes_sp,
    .boot = boot,
    .watch_vectors = watch_vectors,
    .has_stack = has_stack,
    .begins_exception = begins_exception,
    .is_fault = is_fault,
    .take_exception = take_exception,
    .refuse_fetch = refuse_fetch,
    .capture = capture,
};
