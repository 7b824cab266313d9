/* SysTick (DDI 0403E, B3.3). Its clock counts retired instructions, so a program is the same on every run. Within
 * straight-line code the clock stands: it has counted the whole code at its start. */
#include "exception_parts.h"

#define ENABLE 1u
#define TICKINT 2u
#define CLKSOURCE 4u
#define COUNTFLAG (1u << 16)
#define COUNTER_BITS 0xffffffu
#define NO_REFERENCE_CLOCK 0xc0000000u /* NOREF, and SKEW: 10 ms are no known number of instructions */

uint64_t time_now(const struct probe *probe) { return probe->instructions + probe->exceptions->idle; }

/* Count up to now. From 1 to 0 the counter sets COUNTFLAG and may pend; one clock later it reloads (B3.3.1). */
void systick_advance(struct probe *probe)
{
    struct systick *systick = &probe->exceptions->systick;
    uint64_t now = time_now(probe), left = now - systick->since;
    systick->since = now;
    if ((systick->control & ENABLE) == 0)
        return;
    while (left > 0) {
        if (systick->value == 0) {
            if (systick->reload == 0)
                return; /* the counter is off */
            systick->value = systick->reload;
            left--;
            continue;
        }
        uint32_t step = left < systick->value ? (uint32_t)left : systick->value;
        systick->value -= step;
        left -= step;
        if (systick->value == 0) {
            systick->control |= COUNTFLAG;
            if (systick->control & TICKINT)
                set_pending(probe->exceptions, SYS_TICK);
        }
    }
}

/* The time at which SysTick will pend; the counter must be up to date. */
uint64_t systick_next(const struct exceptions *exceptions)
{
    const struct systick *systick = &exceptions->systick;
    bool counts = (systick->control & ENABLE) != 0 && (systick->value | systick->reload) != 0;
    if (!counts || (systick->control & TICKINT) == 0)
        return UINT64_MAX;
    return systick->since + (systick->value != 0 ? systick->value : systick->reload + 1u);
}

uint32_t systick_read(struct probe *probe, uint32_t offset)
{
    struct systick *systick = &probe->exceptions->systick;
    uint32_t control;
    systick_advance(probe);
    switch (offset) {
    case 0x10:
        control = systick->control | CLKSOURCE;
        systick->control &= ~COUNTFLAG;
        return control;
    case 0x14: return systick->reload;
    case 0x18: return systick->value;
    default: return NO_REFERENCE_CLOCK;
    }
}

void systick_write(struct probe *probe, uint32_t offset, uint32_t value)
{
    struct systick *systick = &probe->exceptions->systick;
    systick_advance(probe);
    switch (offset) {
    case 0x10: systick->control = (systick->control & COUNTFLAG) | (value & (ENABLE | TICKINT)); break;
    case 0x14: systick->reload = value & COUNTER_BITS; break;
    case 0x18: /* any write clears the counter */
        systick->value = 0;
        systick->control &= ~COUNTFLAG;
        break;
    default: break;
    }
}
