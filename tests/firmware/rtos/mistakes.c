/* Two tasks and an interrupt, with one mistake of MISTAKE: its comment names its kind, and the task that runs. */
#include <stdlib.h>
#include <string.h>

#include "rtos.h"

__attribute__((noreturn)) void _exit(int status);

enum {
    NONE, UNSET_LOCAL, OVERRUN, AFTER_FREE, TWICE, NULL_WRITE, DEAD_READ, DEAD_WRITE, UNALIGNED, LITERAL, HANDLER_OVERRUN,
    HANDLER_AFTER_FREE, HANDLER_UNSET, HANDLER_DEAD_READ, FROM_OTHER_TASK
};

static uint64_t maker_stack[128], taker_stack[128];
static struct task maker_task, taker_task;
static uint32_t words[4];
static struct queue queue = {words, 4, 0, 0};
static volatile uint32_t count;
static volatile uint8_t *block;
static volatile bool left;
static volatile uint32_t *volatile local;

__attribute__((noipa)) static void use(volatile void *bytes) { (void)bytes; }

__attribute__((noipa)) static volatile uint32_t *itself(volatile uint32_t *pointer) { return pointer; }

__attribute__((noipa)) static void leave_local(void)
{
    volatile uint32_t values[32] = {1, 2, 3, 4};
    local = itself(values);
    use(values);
}

__attribute__((noipa)) void interrupt_0(void)
{
    if (MISTAKE == HANDLER_OVERRUN)
        block[24] = 1; /* HANDLER_OVERRUN: heap_out_of_bounds_write maker */
    if (MISTAKE == HANDLER_AFTER_FREE)
        count += block[1]; /* HANDLER_AFTER_FREE: use_after_free_read maker */
    if (MISTAKE == HANDLER_UNSET) {
        volatile uint32_t values[4];
        use(values);
        if (values[1] == 7) /* HANDLER_UNSET: uninitialised_branch maker */
            count++;
    }
    if (MISTAKE == HANDLER_DEAD_READ && left)
        count += local[2]; /* HANDLER_DEAD_READ: read_below_stack maker */
    count++;
}

void interrupt_1(void) {}
void interrupt_2(void) {}

__attribute__((noipa)) static uint32_t make(uint32_t round)
{
    volatile uint32_t values[4];
    values[0] = round;
    block = malloc(24);
    block[23] = 1;
    if (MISTAKE == UNSET_LOCAL && round == 2) {
        if (values[3] == 9) /* UNSET_LOCAL: uninitialised_branch maker */
            count++;
    }
    if (MISTAKE == OVERRUN && round == 2)
        block[26] = 1; /* OVERRUN: heap_out_of_bounds_write maker */
    if (MISTAKE != HANDLER_AFTER_FREE) raise_interrupt(0);
    free((void *)block);
    if (MISTAKE == HANDLER_AFTER_FREE && round == 2) raise_interrupt(0);
    if (MISTAKE == AFTER_FREE && round == 2)
        count += block[2]; /* AFTER_FREE: use_after_free_read maker */
    if (MISTAKE == TWICE && round == 2)
        free((void *)block); /* TWICE: double_free maker */
    if (MISTAKE == NULL_WRITE && round == 2) {
        volatile uint32_t *nothing = itself(0);
        *nothing = 1; /* NULL_WRITE: null_pointer_write maker */
    }
    leave_local();
    if (MISTAKE == HANDLER_DEAD_READ && round == 2) {
        left = true;
        raise_interrupt(0);
        left = false;
    }
    if (MISTAKE == DEAD_READ && round == 2)
        count += local[1]; /* DEAD_READ: read_below_stack maker */
    if (MISTAKE == DEAD_WRITE && round == 2)
        local[1] = 4; /* DEAD_WRITE: write_below_stack maker */
    return MISTAKE == FROM_OTHER_TASK ? values[2] : values[0] + 1;
}

static void maker(void)
{
    for (uint32_t round = 0; round < 5; round++) {
        put(&queue, make(round));
        sleep_ticks(1);
    }
    sleep_ticks(UINT32_MAX);
}

__attribute__((noipa)) static void handle(uint32_t item)
{
    static uint8_t packet[12] __attribute__((aligned(4)));
    if (MISTAKE == UNALIGNED && item == 3) {
        uint32_t low, high;
        __asm__ volatile("ldrd %0, %1, [%2]" /* UNALIGNED: unaligned_access taker */
                         : "=r"(low), "=r"(high) : "r"(packet + 1));
        count += low + high;
    }
    if (MISTAKE == LITERAL && item == 3) {
        volatile char *text = (volatile char *)itself((volatile uint32_t *)"text");
        text[0] = 'T'; /* LITERAL: write_to_read_only taker */
    }
    if (item == 17) /* FROM_OTHER_TASK: uninitialised_branch taker */
        count++;
}

static void taker(void)
{
    for (uint32_t item = 0; item < 5; item++) handle(take(&queue));
    _exit(0);
}

int main(void)
{
    enable_interrupt(0, 0x80);
    add_task(&maker_task, "maker", 2, maker, maker_stack, sizeof maker_stack);
    add_task(&taker_task, "taker", 1, taker, taker_stack, sizeof taker_stack);
    start_tasks();
}
