/* The kernel: a list of tasks; the scheduler walks it in PendSV, which every other handler preempts. */
#include "rtos.h"

#define ICSR (*(volatile uint32_t *)0xE000ED04)
#define PEND_SV_SET (1u << 28)
#define SHPR2 (*(volatile uint32_t *)0xE000ED1C)
#define SHPR3 (*(volatile uint32_t *)0xE000ED20)
#define SYSTICK ((volatile uint32_t *)0xE000E010)
#define LOWEST 0xf0u
#define TO_TASK 0xfffffffdu /* EXC_RETURN: Thread mode, PSP, a frame without floats */
#define THUMB_STATE (1u << 24)

struct task *running;
static struct task *tasks;

uint32_t lock(void)
{
    uint32_t state;
    __asm__ volatile("mrs %0, primask\n cpsid i" : "=r"(state)::"memory");
    return state;
}

void unlock(uint32_t state) { __asm__ volatile("msr primask, %0\n isb" ::"r"(state) : "memory"); }

__attribute__((noreturn)) static void task_ends(void)
{
    for (;;) sleep_ticks(UINT32_MAX);
}

void add_task(struct task *task, const char *name, uint32_t priority, void (*entry)(void), void *stack, uint32_t bytes)
{
    uint32_t *sp = (uint32_t *)stack + bytes / 4;
    *--sp = THUMB_STATE;
    *--sp = (uint32_t)entry & ~1u;
    *--sp = (uint32_t)task_ends;
    for (int i = 0; i < 5; i++) *--sp = 0; /* r12, r3 to r0 */
    *--sp = TO_TASK;
    for (int i = 0; i < 8; i++) *--sp = 0; /* r11 to r4 */
    *task = (struct task){.sp = sp, .stack = stack, .name = name, .priority = priority, .next = tasks};
    tasks = task;
}

/* The ready task of the highest priority; called by switch.S. The idle task is always ready. */
void choose_task(void)
{
    struct task *chosen = 0;
    for (struct task *task = tasks; task; task = task->next)
        if (!task->sleeps && !task->waits && (!chosen || task->priority > chosen->priority)) chosen = task;
    running = chosen;
}

void sys_tick(void)
{
    uint32_t state = lock();
    for (struct task *task = tasks; task; task = task->next)
        if (task->sleeps && task->sleeps != UINT32_MAX) task->sleeps--;
    unlock(state);
    ICSR = PEND_SV_SET;
}

static void idle(void)
{
    for (;;) __asm__ volatile("wfi");
}

void start_tasks(void)
{
    static uint64_t idle_stack[32];
    static struct task idle_task;
    add_task(&idle_task, "idle", 0, idle, idle_stack, sizeof idle_stack);
    SHPR2 = 0;                              /* SVC */
    SHPR3 = LOWEST << 16 | 0xe0u << 24;     /* PendSV, SysTick */
    SYSTICK[1] = TICK - 1;
    SYSTICK[2] = 0;
    SYSTICK[0] = 7;
    choose_task();
    __asm__ volatile("cpsie i\n svc 0");
    __builtin_unreachable();
}

static void reschedule(void)
{
    ICSR = PEND_SV_SET;
    __asm__ volatile("dsb\n isb");
}

void sleep_ticks(uint32_t ticks)
{
    uint32_t state = lock();
    running->sleeps = ticks;
    unlock(state);
    reschedule();
}

void put(struct queue *queue, uint32_t item)
{
    uint32_t state = lock();
    if (queue->count < queue->capacity) queue->items[(queue->first + queue->count++) % queue->capacity] = item;
    for (struct task *task = tasks; task; task = task->next)
        if (task->waits == queue) task->waits = 0;
    unlock(state);
    reschedule();
}

uint32_t take(struct queue *queue)
{
    for (;;) {
        uint32_t state = lock(), item;
        if (queue->count) {
            item = queue->items[queue->first];
            queue->first = (queue->first + 1) % queue->capacity;
            queue->count--;
            unlock(state);
            return item;
        }
        running->waits = queue;
        unlock(state);
        reschedule();
    }
}
