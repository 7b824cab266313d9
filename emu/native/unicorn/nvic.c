/* Priorities, and the nested vectored interrupt controller (DDI 0403E, B1.5.4 and B3.4). */
#include "exception_parts.h"

#define PRIORITY_BITS 0xf0u /* the four that STM32s have */

/* Unprivileged code reads these registers as 0, and so does Unicorn's interface: read them in Handler mode. */
struct masks read_masks(const struct probe *probe, uc_engine *uc)
{
    bool unprivileged = is_unprivileged(probe, uc);
    if (unprivileged)
        write_register(probe, uc, UC_ARM_REG_IPSR, HARD_FAULT);
    struct masks masks = {
        .primask = read_register(probe, uc, UC_ARM_REG_PRIMASK) & 1,
        .faultmask = read_register(probe, uc, UC_ARM_REG_FAULTMASK) & 1,
        .basepri = read_register(probe, uc, UC_ARM_REG_BASEPRI) & PRIORITY_BITS,
    };
    if (unprivileged)
        write_register(probe, uc, UC_ARM_REG_IPSR, NO_EXCEPTION);
    return masks;
}

void set_pending(struct exceptions *exceptions, uint32_t number)
{
    exceptions->pending_count += exceptions->pending[number] == 0;
    exceptions->pending[number] = 1;
    if (exceptions->scr & SCR_SEVONPEND)
        exceptions->event = 1;
}

void clear_pending(struct exceptions *exceptions, uint32_t number)
{
    exceptions->pending_count -= exceptions->pending[number] != 0;
    exceptions->pending[number] = 0;
}

int32_t priority_of(const struct exceptions *exceptions, uint32_t number)
{
    switch (number) {
    case RESET: return -3;
    case NMI: return -2;
    case HARD_FAULT: return -1;
    default: return exceptions->priority[number];
    }
}

/* The group priority of this priority, by AIRCR.PRIGROUP (B1.5.4): its lowest PRIGROUP + 1 bits are the subpriority. */
static int32_t group_of(const struct exceptions *exceptions, int32_t priority)
{
    return priority < 0 ? priority : priority & ~((2 << exceptions->priority_group) - 1);
}

int32_t group_priority_of(const struct exceptions *exceptions, uint32_t number)
{
    return group_of(exceptions, priority_of(exceptions, number));
}

/* The group priority of the active exceptions (B1.5.4). */
int32_t active_priority(const struct exceptions *exceptions)
{
    int32_t highest = LOWEST_PRIORITY;
    for (uint32_t number = NMI; number < EXCEPTIONS; number++)
        if (exceptions->active[number] && priority_of(exceptions, number) < highest)
            highest = priority_of(exceptions, number);
    return highest == LOWEST_PRIORITY ? highest : group_of(exceptions, highest);
}

/* ExecutionPriority() of B1.5.4. */
int32_t execution_priority(const struct exceptions *exceptions, const struct masks *masks)
{
    int32_t priority = active_priority(exceptions), boosted = LOWEST_PRIORITY;
    if (masks->basepri != 0)
        boosted = group_of(exceptions, (int32_t)masks->basepri);
    if (masks->primask)
        boosted = 0;
    if (masks->faultmask)
        boosted = -1;
    return boosted < priority ? boosted : priority;
}

/* Exceptions of the system are always enabled, faults by SHCSR, which decides only whether they escalate. */
bool is_enabled(const struct exceptions *exceptions, uint32_t number)
{
    return number < FIRST_INTERRUPT || exceptions->enabled[number];
}

/* The pending and enabled exception of highest priority; of equal ones the lowest number (B1.5.4); 0 if there is none. */
uint32_t first_pending(const struct exceptions *exceptions)
{
    uint32_t first = NO_EXCEPTION;
    if (exceptions->pending_count == 0)
        return first;
    for (uint32_t number = NMI; number < EXCEPTIONS; number++)
        if (exceptions->pending[number] && is_enabled(exceptions, number) &&
            (first == NO_EXCEPTION || priority_of(exceptions, number) < priority_of(exceptions, first)))
            first = number;
    return first;
}

/* ---- registers ---- */

#define ISER 0x100u
#define ICER 0x180u
#define ISPR 0x200u
#define ICPR 0x280u
#define IABR 0x300u
#define IPR 0x400u

static uint32_t bits_of(const uint8_t *flags, uint32_t offset)
{
    uint32_t bits = 0, first = FIRST_INTERRUPT + 8 * (offset & 0x7f);
    for (uint32_t i = 0; i < 32 && first + i < EXCEPTIONS; i++)
        bits |= (uint32_t)flags[first + i] << i;
    return bits;
}

/* The word at offset in the system control space, from 0x100 up to 0x500. */
uint32_t nvic_read(const struct exceptions *exceptions, uint32_t offset)
{
    if (offset >= IPR) {
        const uint8_t *priority = &exceptions->priority[FIRST_INTERRUPT + offset - IPR];
        return offset - IPR >= INTERRUPTS ? 0 : (uint32_t)priority[0] | (uint32_t)priority[1] << 8 |
                                                    (uint32_t)priority[2] << 16 | (uint32_t)priority[3] << 24;
    }
    switch (offset & ~0x7fu) {
    case ISER:
    case ICER: return bits_of(exceptions->enabled, offset);
    case ISPR:
    case ICPR: return bits_of(exceptions->pending, offset);
    case IABR: return bits_of(exceptions->active, offset);
    default: return 0;
    }
}

void nvic_write(struct exceptions *exceptions, uint32_t offset, uint32_t value)
{
    if (offset >= IPR) {
        for (uint32_t i = 0; i < 4 && offset - IPR + i < INTERRUPTS; i++)
            exceptions->priority[FIRST_INTERRUPT + offset - IPR + i] = (uint8_t)(value >> 8 * i & PRIORITY_BITS);
        return;
    }
    uint32_t first = FIRST_INTERRUPT + 8 * (offset & 0x7f);
    for (uint32_t i = 0; i < 32 && first + i < EXCEPTIONS; i++) {
        if ((value >> i & 1) == 0)
            continue;
        switch (offset & ~0x7fu) {
        case ISER: exceptions->enabled[first + i] = 1; break;
        case ICER: exceptions->enabled[first + i] = 0; break;
        case ISPR: set_pending(exceptions, first + i); break;
        case ICPR: clear_pending(exceptions, first + i); break;
        default: break;
        }
    }
}
