/* A small kernel for the tests: tasks with priorities, sleep by SysTick, and a queue. */
#ifndef RTOS_H
#define RTOS_H

#include <stdbool.h>
#include <stdint.h>

enum { TICK = 20000, FIRST_INTERRUPT = 16 };

struct task {
    uint32_t *sp; /* where switch.S has saved its registers: must come first */
    void *stack;
    const char *name;
    uint32_t priority; /* the highest runs */
    uint32_t sleeps;   /* ticks until it runs again */
    const void *waits; /* the queue that it waits for, or null */
    struct task *next;
};

struct queue {
    uint32_t *items;
    uint32_t capacity, first, count;
};

extern struct task *running;

/* A task that is ready: its stack must have space for 26 words and what it calls. */
void add_task(struct task *task, const char *name, uint32_t priority, void (*entry)(void), void *stack, uint32_t bytes);
__attribute__((noreturn)) void start_tasks(void);
void sleep_ticks(uint32_t ticks);
void put(struct queue *queue, uint32_t item); /* also for handlers; an item for which there is no room is lost */
uint32_t take(struct queue *queue);           /* waits for an item */

uint32_t lock(void); /* no interrupt until unlock */
void unlock(uint32_t state);

/* boot.c */
extern volatile uint32_t interrupts[3];
void enable_interrupt(uint32_t number, uint32_t priority);
void raise_interrupt(uint32_t number); /* it comes at once if its priority allows */
void print(const char *text);
void print_number(uint32_t number);

#endif
