/* Traps that the firmware switches on: divisions by zero and unaligned accesses by CCR (DDI 0403E, B3.2.8), and accesses
 * that the MPU forbids. Unicorn has none, so hooks look for them, from the first time that one is switched on. */
#include "exception_parts.h"

#define XPSR_T (1u << 24)

static void trap(struct probe *probe, uc_engine *uc, uint32_t cfsr)
{
    if (probe->stop_reason == STOP_NONE)
        probe->exceptions->trap = cfsr;
    stop(probe, uc, probe->stop_reason);
}

/* Code hook at each SDIV and UDIV. */
void probe_division(uc_engine *uc, uint64_t address, uint32_t size, void *user_data)
{
    struct probe *probe = user_data;
    uint8_t code[4] = {0};
    (void)size;
    if ((probe->exceptions->ccr & CCR_DIV_0_TRP) == 0 || probe->api.mem_read(uc, address, code, 4) != UC_ERR_OK)
        return;
    uint32_t divisor = code[2] & 0xf;
    uint32_t value = divisor <= 12 ? read_register(probe, uc, UC_ARM_REG_R0 + (int)divisor)
                                   : read_register(probe, uc, divisor == 14 ? UC_ARM_REG_LR : UC_ARM_REG_SP);
    if (value == 0)
        trap(probe, uc, CFSR_DIVBYZERO);
}

/* Hook on each load and store. Unicorn stores before it stops, so the old bytes are kept (see probe_take_exception). */
void probe_checked_access(uc_engine *uc, uc_mem_type type, uint64_t address, int size, int64_t value, void *user_data)
{
    struct probe *probe = user_data;
    struct exceptions *exceptions = probe->exceptions;
    uint32_t unit = size > 4 ? 4 : (uint32_t)size;
    (void)value;
    /* For this hook Unicorn 2.1.4 restores the state of an IT block, which the translated code expects to be 0. */
    write_register(probe, uc, UC_ARM_REG_EPSR, XPSR_T);
    bool unaligned = (exceptions->ccr & CCR_UNALIGN_TRP) != 0 && (uint32_t)address % unit != 0;
    enum mpu_access access = type == UC_MEM_WRITE ? MPU_WRITE : MPU_READ;
    if (exceptions->trap != 0 || (!unaligned && mpu_allows(probe, uc, (uint32_t)address, access)))
        return;
    exceptions->trap_address = (uint32_t)address;
    exceptions->trap_stored = type == UC_MEM_WRITE ? (uint32_t)size : 0;
    if (type == UC_MEM_WRITE)
        probe->api.mem_read(uc, address, exceptions->trap_old, exceptions->trap_stored);
    trap(probe, uc, unaligned ? CFSR_UNALIGNED : CFSR_DACCVIOL | CFSR_MMARVALID);
}
