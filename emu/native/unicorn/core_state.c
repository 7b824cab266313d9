/* The state of Unicorn's core that its registers do not show: the state of the FPU's lazy stacking.
 *
 * Unicorn's own code preserves the FPU's registers on the first floating-point instruction of a handler, if FPCCR and
 * FPCAR say so. No register of its interface reaches these two; a saved context holds them. find_core_state finds the
 * place by changing BASEPRI and PRIMASK, and checks the values of a reset next to it. */
#include "exception_parts.h"

#include <string.h>

#define CPACR_FPU (0xfu << 20)
#define NSACR_FPU (3u << 10) /* an M7 has no Secure state, but Unicorn asks whether the other state may use the FPU */

static uint32_t word_in(const struct exceptions *exceptions, uint32_t offset)
{
    uint32_t value;
    memcpy(&value, (const uint8_t *)exceptions->context + offset, sizeof value);
    return value;
}

static void set_basepri(struct probe *probe, uc_engine *uc, uint32_t value)
{
    write_register(probe, uc, UC_ARM_REG_BASEPRI, value);
    probe->api.context_save(uc, probe->exceptions->context);
}

/* The byte offset of the first word that follows each change of BASEPRI; 0 if there is none. */
static uint32_t offset_of_basepri(struct probe *probe, uc_engine *uc)
{
    const struct exceptions *exceptions = probe->exceptions;
    const uint32_t values[] = {0xe0, 0xd0, 0xb0};
    uint32_t found = 0, end = exceptions->context_bytes - 4 * CORE_WORDS;
    set_basepri(probe, uc, values[0]);
    for (uint32_t offset = 0; offset < end && found == 0; offset += 4) {
        if (word_in(exceptions, offset) != values[0])
            continue;
        bool follows = true;
        for (uint32_t i = 3; i-- > 0;) { /* the last of them is the first value again */
            set_basepri(probe, uc, values[i]);
            follows = follows && word_in(exceptions, offset) == values[i];
        }
        if (follows)
            found = offset;
    }
    set_basepri(probe, uc, 0);
    return found;
}

/* Find the place; false if this version of Unicorn is not laid out as expected. Must run at reset. */
bool find_core_state(struct probe *probe, uc_engine *uc)
{
    struct exceptions *exceptions = probe->exceptions;
    uint32_t words[CORE_WORDS];
    exceptions->context_at = offset_of_basepri(probe, uc);
    if (exceptions->context_at == 0)
        return false;
    write_register(probe, uc, UC_ARM_REG_PRIMASK, 1);
    read_core_words(probe, uc, words);
    write_register(probe, uc, UC_ARM_REG_PRIMASK, 0);
    bool known = words[CORE_PRIMASK] == 1 && words[CORE_SECURE] == 0 && (words[CORE_FPCCR + 1] & FPCCR_ASPEN) != 0;
    if (!known || words[CORE_FPCAR] != 0 || words[CORE_FPCAR + 1] != 0)
        return false;
    read_core_words(probe, uc, words);
    words[CORE_FPCCR] = FPCCR_ASPEN | FPCCR_LSPEN; /* as at reset (B3.2.21); the second bank is of the Secure state */
    words[CORE_FPCCR + 1] = 0;
    words[CORE_NSACR] |= NSACR_FPU;
    words[CORE_CPACR] = words[CORE_CPACR + 1] = CPACR_FPU; /* or its lazy stacking would store nothing */
    write_core_words(probe, uc, words);
    return true;
}

void read_core_words(struct probe *probe, uc_engine *uc, uint32_t *words)
{
    const struct exceptions *exceptions = probe->exceptions;
    probe->api.context_save(uc, exceptions->context);
    memcpy(words, (const uint8_t *)exceptions->context + exceptions->context_at, 4 * CORE_WORDS);
}

/* The words must be those of read_core_words, with changes; nothing else may have changed since. */
void write_core_words(struct probe *probe, uc_engine *uc, const uint32_t *words)
{
    struct exceptions *exceptions = probe->exceptions;
    probe->api.context_save(uc, exceptions->context);
    memcpy((uint8_t *)exceptions->context + exceptions->context_at, words, 4 * CORE_WORDS);
    probe->api.context_restore(uc, exceptions->context);
}

/* Whether the core is in Thread mode without privilege (B1.3.1). */
bool is_unprivileged(const struct probe *probe, uc_engine *uc)
{
    return (read_register(probe, uc, UC_ARM_REG_IPSR) & 0x1ff) == 0 &&
           (read_register(probe, uc, UC_ARM_REG_CONTROL) & CONTROL_NPRIV) != 0;
}

/* Unicorn derives the mode of its translated code from registers; a write of the flags makes it do so again. */
void rebuild_flags(const struct probe *probe, uc_engine *uc)
{
    write_register(probe, uc, UC_ARM_REG_APSR_NZCV, read_register(probe, uc, UC_ARM_REG_APSR_NZCV));
}
