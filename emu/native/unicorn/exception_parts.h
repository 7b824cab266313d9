/* The functions that the parts of the exception model share. */
#ifndef EMU_EXCEPTION_PARTS_H
#define EMU_EXCEPTION_PARTS_H

#include "parts.h"

/* Bits of CONTROL (B1.4.4). */
#define CONTROL_NPRIV 1u
#define CONTROL_SPSEL 2u
#define CONTROL_FPCA 4u

#define IPSR_BITS 0x1ffu

/* Bits of CCR (B3.2.8). */
#define CCR_NONBASETHRDENA (1u << 0)
#define CCR_USERSETMPEND (1u << 1)
#define CCR_UNALIGN_TRP (1u << 3)
#define CCR_DIV_0_TRP (1u << 4)
#define CCR_STKALIGN (1u << 9)

/* Bits of SCR (B3.2.7). */
#define SCR_SLEEPONEXIT (1u << 1)
#define SCR_SEVONPEND (1u << 4)

/* Bits of CFSR and HFSR (B3.2.15, B3.2.16). */
#define CFSR_IACCVIOL (1u << 0)
#define CFSR_DACCVIOL (1u << 1)
#define CFSR_MMARVALID (1u << 7)
#define CFSR_STKERR (1u << 12)
#define CFSR_INVPC (1u << 18)
#define CFSR_UNALIGNED (1u << 24)
#define CFSR_DIVBYZERO (1u << 25)
#define HFSR_FORCED (1u << 30)

/* Bits of SHCSR and DEMCR (B3.2.13, C1.6.5). */
#define SHCSR_MEMFAULTENA (1u << 16)
#define SHCSR_BUSFAULTENA (1u << 17)
#define SHCSR_USGFAULTENA (1u << 18)
#define DEMCR_MON_EN (1u << 16)

/* Numbers of Unicorn's own exceptions. */
#define EXCP_SWI 2u
#define EXCP_EXCEPTION_EXIT 8u

/* What has become of a synchronous exception (emu/native/unicorn/exceptions.py). */
enum take_result { TAKE_TAKEN, TAKE_NO_HANDLER, TAKE_LOCKS_UP };

/* Bits of FPCCR (B3.2.21). */
#define FPCCR_LSPACT (1u << 0)
#define FPCCR_USER (1u << 1)
#define FPCCR_THREAD (1u << 3)
#define FPCCR_HFRDY (1u << 4)
#define FPCCR_MMRDY (1u << 5)
#define FPCCR_BFRDY (1u << 6)
#define FPCCR_MONRDY (1u << 8)
#define FPCCR_LSPEN (1u << 30)
#define FPCCR_ASPEN (1u << 31)
#define FPCCR_BITS 0xc000017bu

/* Words from BASEPRI on, in Unicorn's own state of the core. */
enum core_word {
    CORE_PRIMASK = 18,
    CORE_SECURE = 23,
    CORE_FPCAR = 32,
    CORE_FPCCR = 34,
    CORE_FPDSCR = 36,
    CORE_CPACR = 38,
    CORE_NSACR = 40,
    CORE_WORDS = 44
};

static inline void write_register(const struct probe *probe, uc_engine *uc, int id, uint32_t value)
{
    probe->api.reg_write(uc, id, &value);
}

/* core_state.c */
bool find_core_state(struct probe *probe, uc_engine *uc);
void read_core_words(struct probe *probe, uc_engine *uc, uint32_t *words);
void write_core_words(struct probe *probe, uc_engine *uc, const uint32_t *words);
bool is_unprivileged(const struct probe *probe, uc_engine *uc);
void rebuild_flags(const struct probe *probe, uc_engine *uc);

/* nvic.c */
struct masks {
    uint32_t primask, faultmask, basepri;
};
struct masks read_masks(const struct probe *probe, uc_engine *uc);
void set_pending(struct exceptions *exceptions, uint32_t number);
void clear_pending(struct exceptions *exceptions, uint32_t number);
int32_t priority_of(const struct exceptions *exceptions, uint32_t number);
int32_t group_priority_of(const struct exceptions *exceptions, uint32_t number);
#define LOWEST_PRIORITY 256 /* of Thread mode, if no exception is active */
int32_t active_priority(const struct exceptions *exceptions);
int32_t execution_priority(const struct exceptions *exceptions, const struct masks *masks);
uint32_t first_pending(const struct exceptions *exceptions);
bool is_enabled(const struct exceptions *exceptions, uint32_t number);
uint32_t nvic_read(const struct exceptions *exceptions, uint32_t offset);
void nvic_write(struct exceptions *exceptions, uint32_t offset, uint32_t value);

/* mpu.c */
#define MPU_ENABLE 1u
enum mpu_access { MPU_READ, MPU_WRITE, MPU_FETCH };
bool mpu_is_on(const struct exceptions *exceptions);
bool mpu_allows(const struct probe *probe, uc_engine *uc, uint32_t address, enum mpu_access access);

/* systick.c */
uint64_t time_now(const struct probe *probe);
void systick_advance(struct probe *probe);
uint64_t systick_next(const struct exceptions *exceptions); /* UINT64_MAX if it will not pend */
uint32_t systick_read(struct probe *probe, uint32_t offset);
void systick_write(struct probe *probe, uint32_t offset, uint32_t value);

/* scs.c */
uint64_t scs_read(uc_engine *uc, uint64_t offset, unsigned size, void *user_data);
void scs_write(uc_engine *uc, uint64_t offset, unsigned size, uint64_t value, void *user_data);

/* exceptions.c */
bool range_holds(const struct exceptions *exceptions, uint32_t address, uint32_t bytes, bool writable);
void look_for_exceptions(struct probe *probe);

/* handlers.c: what the probes note of exceptions */
void note_interrupted(struct probe *probe, uc_engine *uc, uint32_t pc);
void note_pushed_frame(struct probe *probe, uc_engine *uc, uint32_t pc, uint32_t frame, bool floats);
void note_handler(struct probe *probe, uc_engine *uc, uint32_t handler);
void note_return(struct probe *probe, uc_engine *uc, uint32_t pc, uint32_t frame, bool floats);

#endif
