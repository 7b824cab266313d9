/* The memory protection unit (DDI 0403E, B3.5). The hook on each load and store asks it, and so does each block of
 * straight-line code for its first instruction. It does not check the frames that the core pushes and pops. */
#include "exception_parts.h"

#define HFNMIENA 2u
#define PRIVDEFENA 4u
#define PRIVATE_BUS 0xe0000000u /* the core's own registers: the MPU does not apply (B3.5.1) */
#define PRIVATE_BUS_END 0xe0100000u
#define REGION_ENABLE 1u
#define EXECUTE_NEVER (1u << 28)

bool mpu_is_on(const struct exceptions *exceptions) { return (exceptions->mpu_control & MPU_ENABLE) != 0; }

/* Whether address lies in the region, and in none of its subregions that are off (B3.5.9). */
static bool contains(uint32_t base, uint32_t attributes, uint32_t address)
{
    uint32_t bits = (attributes >> 1 & 0x1f) + 1; /* the region has 2^bits bytes */
    uint32_t mask = bits >= 32 ? UINT32_MAX : (UINT32_C(1) << bits) - 1;
    if ((attributes & REGION_ENABLE) == 0 || bits < 5 || ((address ^ base) & ~mask) != 0)
        return false;
    uint32_t subregion = (address & mask) >> (bits - 3);
    return bits < 8 || (attributes >> (8 + subregion) & 1) == 0;
}

/* The permissions of AP (B3.5.9). */
static bool permits(uint32_t attributes, enum mpu_access access, bool privileged)
{
    if (access == MPU_FETCH && attributes & EXECUTE_NEVER)
        return false;
    bool writes = access == MPU_WRITE;
    switch (attributes >> 24 & 7) {
    case 1: return privileged;
    case 2: return privileged || !writes;
    case 3: return true;
    case 5: return privileged && !writes;
    case 6:
    case 7: return !writes;
    default: return false;
    }
}

bool mpu_allows(const struct probe *probe, uc_engine *uc, uint32_t address, enum mpu_access access)
{
    const struct exceptions *exceptions = probe->exceptions;
    if (!mpu_is_on(exceptions) || (address >= PRIVATE_BUS && address < PRIVATE_BUS_END))
        return true;
    bool privileged = !is_unprivileged(probe, uc);
    if ((exceptions->mpu_control & HFNMIENA) == 0) {
        struct masks masks = read_masks(probe, uc);
        if (execution_priority(exceptions, &masks) < 0)
            return true;
    }
    for (uint32_t i = MPU_REGIONS; i-- > 0;) /* the highest number has priority */
        if (contains(exceptions->mpu_base[i], exceptions->mpu_attributes[i], address))
            return permits(exceptions->mpu_attributes[i], access, privileged);
    return privileged && (exceptions->mpu_control & PRIVDEFENA) != 0;
}
