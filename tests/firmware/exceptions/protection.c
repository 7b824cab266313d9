/* The memory protection unit (DDI 0403E, B3.5). */
#include "suite.h"

#define MPU_CTRL REGISTER(0xE000ED94u)
#define MPU_RNR REGISTER(0xE000ED98u)
#define MPU_RBAR REGISTER(0xE000ED9Cu)
#define MPU_RASR REGISTER(0xE000EDA0u)
#define MMFAR REGISTER(0xE000ED34u)
#define SIZE(bits) (((bits)-1u) << 1 | 1u)
#define ACCESS(ap) ((ap) << 24)
#define NEVER (1u << 28)

static uint32_t block[64] __attribute__((aligned(256)));

__attribute__((unused)) static void region(uint32_t number, uint32_t base, uint32_t attributes)
{
    MPU_RNR = number, MPU_RBAR = base, MPU_RASR = attributes;
}

HANDLER(manage)
{
    note(READ_SPECIAL(ipsr)), note(CFSR), note(exc_return);
    note(CFSR & 0x80u ? MMFAR - (uint32_t)(uintptr_t)block : 0);
    CFSR = CFSR, frame[6] += 2;
}

__attribute__((unused)) static void start(uint32_t control)
{
    on(MEM_MANAGE, manage), on(HARD_FAULT, manage);
    SHCSR = 1u << 16;
    block[0] = 1, block[1] = 2;
    MPU_CTRL = control, barrier();
}

__attribute__((unused)) static uint32_t load(const uint32_t *at)
{
    uint32_t value = 0x99;
    __asm__ volatile("ldr %0, [%1]" : "+l"(value) : "l"(at) : "memory");
    return value;
}

__attribute__((unused)) static void store(uint32_t *at, uint32_t value) { __asm__ volatile("str %0, [%1]" ::"l"(value), "l"(at) : "memory"); }

#ifdef registers_of_the_mpu
void program(void)
{
    note(MPU_CTRL), note(MPU_RNR);
    region(3, 0x20000000u, SIZE(8) | ACCESS(3u)), note(MPU_RNR), note(MPU_RBAR), note(MPU_RASR);
    MPU_RBAR = 0x20001000u | 0x10u | 5u, note(MPU_RNR), note(MPU_RBAR); /* VALID */
    MPU_CTRL = 0;
    note(load(block)), store(block, 0), start(0);
}
#endif

#ifdef read_only
void program(void)
{
    region(0, (uint32_t)(uintptr_t)block, SIZE(8) | ACCESS(6u) | NEVER);
    start(5);
    note(load(block)), store(block, 7), note(load(block));
    MPU_CTRL = 0, barrier(), store(block, 8), note(load(block));
}
#endif

#ifdef no_access
void program(void)
{
    region(0, (uint32_t)(uintptr_t)block, SIZE(8) | ACCESS(0u) | NEVER);
    start(5);
    note(load(block + 1)), store(block + 2, 7);
}
#endif

#ifdef higher_regions_win
void program(void)
{
    region(0, (uint32_t)(uintptr_t)block, SIZE(8) | ACCESS(6u) | NEVER);
    region(1, (uint32_t)(uintptr_t)block, SIZE(5) | ACCESS(3u) | NEVER);
    start(5);
    store(block, 7), note(load(block)), store(block + 8, 7), note(block[8]);
}
#endif

#ifdef subregions
void program(void)
{
    region(0, (uint32_t)(uintptr_t)block, SIZE(8) | ACCESS(6u) | NEVER | 2u << 8); /* its second eighth is off */
    start(5);
    store(block + 8, 7), note(load(block + 8)), store(block, 7), note(load(block));
}
#endif

#ifdef without_privilege
static void regain(void) { WRITE_SPECIAL(control, 0); }

void program(void)
{
    on(SVC, regain);
    region(0, 0, SIZE(18) | ACCESS(6u));
    region(1, 0x20000000u, SIZE(17) | ACCESS(3u) | NEVER);
    region(2, (uint32_t)(uintptr_t)block, SIZE(8) | ACCESS(1u) | NEVER);
    start(5);
    note(load(block));
    WRITE_SPECIAL(control, 1);
    uint32_t value = load(block + 1);
    store(block + 1, 9);
    __asm__ volatile("svc 0");
    note(value), note(load(block + 1));
}
#endif

#ifdef never_executed
/* Code in memory that may not be executed; the handler goes on at its caller. */
HANDLER(returns)
{
    note(READ_SPECIAL(ipsr)), note(CFSR), note(exc_return), note(frame[6] - (uint32_t)(uintptr_t)block);
    CFSR = CFSR, frame[6] = frame[5] & ~1u;
}

void program(void)
{
    block[0] = 0x47704770u; /* BX LR */
    region(0, (uint32_t)(uintptr_t)block, SIZE(8) | ACCESS(3u) | NEVER);
    start(5);
    block[0] = 0x47704770u;
    on(MEM_MANAGE, returns);
    ((void (*)(void))((uintptr_t)block | 1u))();
    note(load(block));
}
#endif

#ifdef off_in_hard_faults
HANDLER(hard)
{
    (void)exc_return;
    note(READ_SPECIAL(ipsr)), note(load(block)), store(block, 5), note(load(block)), frame[6] += 2;
}

void program(void)
{
    region(0, (uint32_t)(uintptr_t)block, SIZE(8) | ACCESS(0u) | NEVER);
    start(5);
    on(HARD_FAULT, hard);
    SHCSR = 0;
    __asm__ volatile("udf 0");
}
#endif
