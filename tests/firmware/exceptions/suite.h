/* Small programs about exceptions: each notes words, which are printed at its end by semihosting. */
#ifndef SUITE_H
#define SUITE_H

#include <stdint.h>

#define REGISTER(address) (*(volatile uint32_t *)(address))
#define BYTE(address) (*(volatile uint8_t *)(address))
#define STCSR REGISTER(0xE000E010u)
#define STRVR REGISTER(0xE000E014u)
#define STCVR REGISTER(0xE000E018u)
#define ISER REGISTER(0xE000E100u)
#define ICER REGISTER(0xE000E180u)
#define ISPR REGISTER(0xE000E200u)
#define ICPR REGISTER(0xE000E280u)
#define IABR REGISTER(0xE000E300u)
#define IPR(interrupt) BYTE(0xE000E400u + (interrupt))
#define ICSR REGISTER(0xE000ED04u)
#define VTOR REGISTER(0xE000ED08u)
#define AIRCR REGISTER(0xE000ED0Cu)
#define SCR REGISTER(0xE000ED10u)
#define CCR REGISTER(0xE000ED14u)
#define SHPR(exception) BYTE(0xE000ED14u + (exception))
#define SHCSR REGISTER(0xE000ED24u)
#define CFSR REGISTER(0xE000ED28u)
#define HFSR REGISTER(0xE000ED2Cu)
#define BFAR REGISTER(0xE000ED38u)
#define CPACR REGISTER(0xE000ED88u)
#define STIR REGISTER(0xE000EF00u)
#define FPCCR REGISTER(0xE000EF34u)
#define FPCAR REGISTER(0xE000EF38u)
#define FPDSCR REGISTER(0xE000EF3Cu)

#define PEND_SV_SET (1u << 28)
#define LSPEN (1u << 30)
#define ASPEN (1u << 31)

enum { NMI = 2, HARD_FAULT, MEM_MANAGE, BUS_FAULT, USAGE_FAULT, SVC = 11, PEND_SV = 14, SYS_TICK, INTERRUPT };

typedef void handler(void);

void note(uint32_t word);
void on(uint32_t exception, handler *handler);
void finish(void) __attribute__((noreturn));

int main(void);

/* The program that main runs. */
void program(void);

static inline void barrier(void) { __asm__ volatile("dsb\n\tisb" ::: "memory"); }

static inline void pend(uint32_t interrupt)
{
    ISPR = 1u << interrupt;
    barrier();
}

#define READ_SPECIAL(name) \
    ({ uint32_t value_; __asm__ volatile("mrs %0, " #name : "=r"(value_)::"memory"); value_; })
#define WRITE_SPECIAL(name, value) ({ __asm__ volatile("msr " #name ", %0\n\tisb" ::"r"(value) : "memory"); })

/* LR at the first instruction of a handler. */
static inline uint32_t link(void)
{
    uint32_t value;
    __asm__ volatile("mov %0, lr" : "=r"(value));
    return value;
}

/* A handler whose body gets SP and LR of its first instruction. */
#define HANDLER(name) \
    static void name##_body(uint32_t *frame, uint32_t exc_return); \
    __attribute__((naked)) static void name(void) \
    { \
        __asm__ volatile("mov r0, sp\n\tmov r1, lr\n\tb %c0" ::"i"(name##_body)); \
    } \
    __attribute__((used)) static void name##_body(uint32_t *frame, uint32_t exc_return)

#endif
