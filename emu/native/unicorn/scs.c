/* The system control space (DDI 0403E, B3.2): the registers of the system control block, and the ways to the NVIC and
 * to SysTick. Registers that are not listed read as 0 and ignore writes. */
#include "exception_parts.h"

#define SCS 0xe000e000u
#define VECTKEY 0x05fau
#define SYSRESETREQ 4u
#define IPSR_BITS 0x1ffu
#define FPU (0xfu << 20) /* CP10 and CP11 of CPACR (B3.2.20) */
#define OTHERS (sizeof((struct exceptions *)0)->others / sizeof(uint32_t))

/* Offsets of registers that do more than keep their value. */
enum {
    ICTR = 0x004, SYSTICK = 0x010, SYSTICK_END = 0x020, NVIC = 0x100, NVIC_PRIORITIES = 0x400, NVIC_END = 0x500,
    CPUID = 0xd00, ICSR = 0xd04, VTOR = 0xd08, AIRCR = 0xd0c, SCR = 0xd10, CCR = 0xd14, SHPR1 = 0xd18, SHPR3 = 0xd20,
    SHCSR = 0xd24, CFSR = 0xd28, HFSR = 0xd2c, DFSR = 0xd30, MMFAR = 0xd34, BFAR = 0xd38, AFSR = 0xd3c,
    CCSIDR = 0xd80, CSSELR = 0xd84, CPACR = 0xd88, MPU_TYPE = 0xd90, MPU_CTRL = 0xd94, MPU_RNR = 0xd98,
    MPU_RBAR = 0xd9c, MPU_END = 0xdbc, DEMCR = 0xdfc, STIR = 0xf00, FPCCR = 0xf34, FPCAR = 0xf38, FPDSCR = 0xf3c
};

static const uint16_t kept[] = {0x008, 0xf90, 0xf94, 0xf98, 0xf9c, 0xfa0}; /* see `others` */

/* Registers that identify a Cortex-M4 and a Cortex-M7 (their TRMs); the latter has two caches of 16 KB. */
static const struct {
    uint16_t offset;
    uint32_t m4, m7;
} constants[] = {
    {0xd40, 0x00000030, 0x00000030}, {0xd44, 0x00000200, 0x00000200}, {0xd48, 0x00100000, 0x00100000},
    {0xd50, 0x00000030, 0x00100030}, {0xd58, 0x00000000, 0x01000000}, {0xd60, 0x01141110, 0x01101110},
    {0xd64, 0x02111000, 0x02112000}, {0xd68, 0x21112231, 0x20232231}, {0xd6c, 0x01111110, 0x01111131},
    {0xd70, 0x01310102, 0x01310132}, {0xd78, 0x00000000, 0x09000003}, {0xd7c, 0x00000000, 0x8303c003},
    {0xf40, 0x10110021, 0x10110221}, {0xf44, 0x11000011, 0x12000011}, {0xf48, 0x00000000, 0x00000040},
};
#define DATA_CACHE 0xf00fe019u        /* CCSIDR: 4 ways, 128 sets of 32 bytes */
#define INSTRUCTION_CACHE 0xf01fe009u /* 2 ways, 256 sets */

static bool is_m7(const struct exceptions *exceptions) { return (exceptions->cpuid >> 4 & 0xfff) == 0xc27; }

static uint32_t mpu_regions(const struct exceptions *exceptions) { return is_m7(exceptions) ? MPU_REGIONS : 8; }

/* A Cortex-M7 switches its caches on and off here; its branch prediction and STKALIGN are always on. */
static uint32_t ccr_of(const struct exceptions *exceptions, uint32_t value)
{
    return is_m7(exceptions) ? (value & 0x0003011b) | 0x00040200 : value & 0x0000031b;
}

/* Bits of SHCSR (B3.2.13). */
static const struct {
    uint32_t bit;
    enum exception number;
} active_bits[] = {{0, MEM_MANAGE}, {1, BUS_FAULT}, {3, USAGE_FAULT}, {7, SV_CALL}, {8, DEBUG_MONITOR}, {10, PEND_SV},
                   {11, SYS_TICK}},
  pending_bits[] = {{12, USAGE_FAULT}, {13, MEM_MANAGE}, {14, BUS_FAULT}, {15, SV_CALL}};
#define SHCSR_ENABLES (7u << 16)

#define EACH(array, i) (uint32_t i = 0; i < sizeof(array) / sizeof *(array); i++)

/* ---- the system control block ---- */

static uint32_t read_icsr(const struct probe *probe, uc_engine *uc)
{
    const struct exceptions *exceptions = probe->exceptions;
    uint32_t value = read_register(probe, uc, UC_ARM_REG_IPSR) & IPSR_BITS;
    uint32_t actives = 0, interrupts = 0;
    for (uint32_t number = NMI; number < EXCEPTIONS; number++) {
        actives += exceptions->active[number];
        interrupts += number >= FIRST_INTERRUPT && exceptions->pending[number];
    }
    value |= first_pending(exceptions) << 12;
    value |= (uint32_t)(actives <= 1) << 11; /* RETTOBASE; in Thread mode its value is not defined */
    value |= (uint32_t)(interrupts != 0) << 22;
    return value | (uint32_t)exceptions->pending[SYS_TICK] << 26 | (uint32_t)exceptions->pending[PEND_SV] << 28 |
           (uint32_t)exceptions->pending[NMI] << 31;
}

static void write_icsr(struct exceptions *exceptions, uint32_t value)
{
    if (value >> 31)
        set_pending(exceptions, NMI);
    if (value >> 28 & 1)
        set_pending(exceptions, PEND_SV);
    else if (value >> 27 & 1)
        clear_pending(exceptions, PEND_SV);
    if (value >> 26 & 1)
        set_pending(exceptions, SYS_TICK);
    else if (value >> 25 & 1)
        clear_pending(exceptions, SYS_TICK);
}

static uint32_t read_shcsr(const struct exceptions *exceptions)
{
    uint32_t value = exceptions->shcsr_enables;
    for EACH (active_bits, i)
        value |= (uint32_t)exceptions->active[active_bits[i].number] << active_bits[i].bit;
    for EACH (pending_bits, i)
        value |= (uint32_t)exceptions->pending[pending_bits[i].number] << pending_bits[i].bit;
    return value;
}

static void write_shcsr(struct exceptions *exceptions, uint32_t value)
{
    exceptions->shcsr_enables = value & SHCSR_ENABLES;
    for EACH (active_bits, i)
        exceptions->active[active_bits[i].number] = value >> active_bits[i].bit & 1;
    for EACH (pending_bits, i)
        if (value >> pending_bits[i].bit & 1)
            set_pending(exceptions, pending_bits[i].number);
        else
            clear_pending(exceptions, pending_bits[i].number);
}

/* SHPR1 to SHPR3: a priority byte for each of the exceptions 4 to 15 (B3.2.10 to B3.2.12). */
static uint32_t read_priorities(const struct exceptions *exceptions, uint32_t first)
{
    uint32_t value = 0;
    for (uint32_t i = 0; i < 4; i++)
        value |= (uint32_t)exceptions->priority[first + i] << 8 * i;
    return value;
}

static void write_priorities(struct exceptions *exceptions, uint32_t first, uint32_t value)
{
    for (uint32_t i = 0; i < 4; i++) {
        uint32_t number = first + i;
        bool exists = number <= USAGE_FAULT || number == SV_CALL || number == DEBUG_MONITOR || number >= PEND_SV;
        exceptions->priority[number] = exists ? (uint8_t)(value >> 8 * i & 0xf0) : 0;
    }
}

static uint32_t read_mpu(const struct exceptions *exceptions, uint32_t offset)
{
    switch (offset) {
    case MPU_TYPE: return mpu_regions(exceptions) << 8;
    case MPU_CTRL: return exceptions->mpu_control;
    case MPU_RNR: return exceptions->mpu_region;
    default:
        return (offset - MPU_RBAR) / 4 % 2 == 0 ? exceptions->mpu_base[exceptions->mpu_region] | exceptions->mpu_region
                                                : exceptions->mpu_attributes[exceptions->mpu_region];
    }
}

/* RBAR and RASR, and their three aliases; RBAR.VALID selects the region (B3.5.8, B3.5.9). */
static void write_mpu(struct exceptions *exceptions, uint32_t offset, uint32_t value)
{
    if (offset == MPU_CTRL)
        exceptions->mpu_control = value & 7;
    else if (offset == MPU_RNR)
        exceptions->mpu_region = value % mpu_regions(exceptions);
    else if (offset >= MPU_RBAR && (offset - MPU_RBAR) / 4 % 2 == 0) {
        if (value >> 4 & 1)
            exceptions->mpu_region = value % mpu_regions(exceptions);
        exceptions->mpu_base[exceptions->mpu_region] = value & ~0x1fu;
    } else if (offset >= MPU_RBAR)
        exceptions->mpu_attributes[exceptions->mpu_region] = value;
}

static uint32_t core_word(struct probe *probe, uc_engine *uc, enum core_word which)
{
    uint32_t words[CORE_WORDS];
    read_core_words(probe, uc, words);
    return words[which];
}

static void set_core_word(struct probe *probe, uc_engine *uc, enum core_word which, uint32_t value)
{
    uint32_t words[CORE_WORDS];
    read_core_words(probe, uc, words);
    words[which] = value;
    write_core_words(probe, uc, words);
    rebuild_flags(probe, uc);
}

static uint32_t read_word(struct probe *probe, uc_engine *uc, uint32_t offset)
{
    struct exceptions *exceptions = probe->exceptions;
    if (offset >= SYSTICK && offset < SYSTICK_END)
        return systick_read(probe, offset);
    if (offset >= NVIC && offset < NVIC_END)
        return nvic_read(exceptions, offset);
    if (offset >= MPU_TYPE && offset < MPU_END)
        return read_mpu(exceptions, offset);
    for EACH (constants, i)
        if (constants[i].offset == offset)
            return is_m7(exceptions) ? constants[i].m7 : constants[i].m4;
    for EACH (kept, i)
        if (kept[i] == offset)
            return exceptions->others[i];
    switch (offset) {
    case ICTR: return (EXCEPTIONS - 1) / 32;
    case CPUID: return exceptions->cpuid;
    case ICSR: return read_icsr(probe, uc);
    case VTOR: return exceptions->vtor;
    case AIRCR: return 0xfa05u << 16 | exceptions->priority_group << 8;
    case SCR: return exceptions->scr;
    case CCR: return exceptions->ccr;
    case SHPR1:
    case SHPR1 + 4:
    case SHPR3: return read_priorities(exceptions, 4 + offset - SHPR1);
    case SHCSR: return read_shcsr(exceptions);
    case CFSR: return exceptions->cfsr;
    case HFSR: return exceptions->hfsr;
    case DFSR: return exceptions->dfsr;
    case MMFAR: return exceptions->mmfar;
    case BFAR: return exceptions->bfar;
    case AFSR: return exceptions->afsr;
    case CCSIDR: return !is_m7(exceptions) ? 0 : exceptions->csselr & 1 ? INSTRUCTION_CACHE : DATA_CACHE;
    case CSSELR: return exceptions->csselr;
    case CPACR: return exceptions->cpacr;
    case DEMCR: return exceptions->demcr;
    case FPCCR: return core_word(probe, uc, CORE_FPCCR);
    case FPCAR: return core_word(probe, uc, CORE_FPCAR);
    case FPDSCR: return core_word(probe, uc, CORE_FPDSCR);
    default: return 0;
    }
}

static void write_word(struct probe *probe, uc_engine *uc, uint32_t offset, uint32_t value)
{
    struct exceptions *exceptions = probe->exceptions;
    if (offset >= SYSTICK && offset < SYSTICK_END)
        systick_write(probe, offset, value);
    else if (offset >= NVIC && offset < NVIC_END)
        nvic_write(exceptions, offset, value);
    else if (offset >= MPU_TYPE && offset < MPU_END)
        write_mpu(exceptions, offset, value);
    if (mpu_is_on(exceptions) && (exceptions->traps & MPU_ENABLE) == 0)
        stop(probe, uc, STOP_TRAPS); /* the store will come again */
    for EACH (kept, i)
        if (kept[i] == offset)
            exceptions->others[i] = value;
    switch (offset) {
    case ICSR: write_icsr(exceptions, value); break;
    case VTOR: exceptions->vtor = value & ~0x7fu; break;
    case AIRCR:
        if (value >> 16 != VECTKEY)
            break;
        exceptions->priority_group = value >> 8 & 7;
        if (value & SYSRESETREQ)
            stop(probe, uc, STOP_RESET);
        break;
    case SCR: exceptions->scr = value & 0x16; break;
    case CCR:
        exceptions->ccr = ccr_of(exceptions, value);
        if (exceptions->ccr & (CCR_UNALIGN_TRP | CCR_DIV_0_TRP) & ~exceptions->traps)
            stop(probe, uc, STOP_TRAPS); /* the store will come again */
        break;
    case SHPR1:
    case SHPR1 + 4:
    case SHPR3: write_priorities(exceptions, 4 + offset - SHPR1, value); break;
    case SHCSR: write_shcsr(exceptions, value); break;
    case CFSR: exceptions->cfsr &= ~value; break;
    case HFSR: exceptions->hfsr &= ~value; break;
    case DFSR: exceptions->dfsr &= ~value; break;
    case MMFAR: exceptions->mmfar = value; break;
    case BFAR: exceptions->bfar = value; break;
    case CSSELR: exceptions->csselr = value & 0xf; break;
    case CPACR: exceptions->cpacr = value & FPU; break; /* Unicorn's FPU is always on */
    case DEMCR: exceptions->demcr = value; break;
    case STIR:
        if ((value & IPSR_BITS) < INTERRUPTS)
            set_pending(exceptions, FIRST_INTERRUPT + (value & IPSR_BITS));
        break;
    case FPCCR: set_core_word(probe, uc, CORE_FPCCR, value & FPCCR_BITS); break;
    case FPCAR: set_core_word(probe, uc, CORE_FPCAR, value & ~7u); break;
    case FPDSCR: set_core_word(probe, uc, CORE_FPDSCR, value & 0x07c00000u); break;
    default: break;
    }
}

/* ---- accesses ---- */

/* Unprivileged code may only write STIR, if CCR.USERSETMPEND lets it; any other access is a bus fault (B3.1.1). */
static bool is_allowed(struct probe *probe, uc_engine *uc, uint32_t offset, bool writes)
{
    if (!is_unprivileged(probe, uc) || (writes && offset == STIR && probe->exceptions->ccr & CCR_USERSETMPEND))
        return true;
    probe->exceptions->unprivileged_access = SCS + offset;
    probe->access_size = 0;
    stop(probe, uc, STOP_NONE);
    return false;
}

static uint32_t mask_of(unsigned size) { return size >= 4 ? UINT32_MAX : (1u << 8 * size) - 1; }

uint64_t scs_read(uc_engine *uc, uint64_t offset64, unsigned size, void *user_data)
{
    struct probe *probe = user_data;
    uint32_t offset = (uint32_t)offset64;
    if (!is_allowed(probe, uc, offset, false))
        return 0;
    return read_word(probe, uc, offset & ~3u) >> 8 * (offset & 3) & mask_of(size);
}

/* Whether a bit that is not written, or written as 0, stays as it is. */
static bool acts_on_ones(uint32_t word)
{
    return (word >= NVIC && word < NVIC_PRIORITIES) || word == ICSR || word == CFSR || word == HFSR || word == DFSR ||
           word == STIR;
}

void scs_write(uc_engine *uc, uint64_t offset64, unsigned size, uint64_t value64, void *user_data)
{
    struct probe *probe = user_data;
    uint32_t offset = (uint32_t)offset64, word = offset & ~3u, shift = 8 * (offset & 3), mask = mask_of(size) << shift;
    if (!is_allowed(probe, uc, offset, true))
        return;
    uint32_t value = (uint32_t)value64 << shift & mask;
    if (size < 4 && !acts_on_ones(word))
        value |= read_word(probe, uc, word) & ~mask;
    write_word(probe, uc, word, value);
    look_for_exceptions(probe);
}
