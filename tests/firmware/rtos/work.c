/* Four tasks and three interrupts. Each task raises an interrupt where its stack is deepest, so that its peak does not
 * depend on the moments of SysTick. */
#include <stdlib.h>

#include "rtos.h"

__attribute__((noreturn)) void _exit(int status);

#define STACK(name, bytes) static uint64_t name[(bytes) / 8]
STACK(filter_stack, 1024);
STACK(worker_stack, 1024);
STACK(printer_stack, 512);

static struct task filter_task, worker_task, printer_task, heap_task;
static uint32_t sums[4], words[8];
static struct queue for_worker = {sums, 4, 0, 0}, for_printer = {words, 8, 0, 0};
static volatile uint32_t raised[3];
static void *kept;

__attribute__((noipa)) static void use(volatile uint8_t *bytes) { bytes[0] = 1; }

/* Interrupt 2 preempts interrupt 1, which preempts interrupt 0. */
__attribute__((noipa)) void interrupt_2(void)
{
    volatile uint8_t bytes[40];
    use(bytes);
    raised[2]++;
}

__attribute__((noipa)) void interrupt_1(void)
{
    volatile float scale = 0.5f;
    volatile uint8_t bytes[80];
    use(bytes);
    raised[1] += (uint32_t)(scale * 2.0f);
    if (raised[1] % 4 == 1) raise_interrupt(2);
}

__attribute__((noipa)) void interrupt_0(void)
{
    volatile uint8_t bytes[16];
    use(bytes);
    raised[0]++;
    if (raised[0] % 2 == 0) raise_interrupt(1);
    if (raised[0] == 3) kept = malloc(72); /* in interrupt 0 */
}

__attribute__((noipa)) static float deep_filter(int n, float value)
{
    volatile uint8_t bytes[24];
    use(bytes);
    if (n == 0) {
        raise_interrupt(0);
        return value;
    }
    float below = deep_filter(n - 1, value * 0.5f);
    use(bytes);
    return below * 2.0f + value;
}

/* Its floats must survive the other tasks'. */
static void filter(void)
{
    float level = 1.0f;
    for (uint32_t round = 0; round < 6; round++) {
        level = level * 1.5f + deep_filter(3, (float)round);
        sleep_ticks(2);
        put(&for_worker, (uint32_t)(level * 100.0f));
    }
    sleep_ticks(UINT32_MAX);
}

__attribute__((noipa)) static uint32_t deep_work(uint32_t n)
{
    volatile uint8_t bytes[48];
    use(bytes);
    if (n == 0) raise_interrupt(1);
    else n += deep_work(n - 1);
    use(bytes);
    return n;
}

static void worker(void)
{
    double mean = 0;
    for (;;) {
        uint32_t sum = take(&for_worker);
        uint8_t *copy = malloc(sum % 200 + 8);
        copy[0] = (uint8_t)deep_work(4);
        mean += 0.25 * ((double)sum - mean);
        put(&for_printer, (uint32_t)mean + copy[0]);
        use(copy);
        free(copy);
    }
}

/* Its stack is a block of the heap. */
static void on_heap(void)
{
    for (uint32_t round = 0;; round++) {
        deep_work(round % 3);
        sleep_ticks(3);
    }
}

static void printer(void)
{
    for (uint32_t line = 0; line < 6; line++) {
        print_number(take(&for_printer));
        raise_interrupt(2);
        print("\n");
    }
    print("interrupts");
    for (int i = 0; i < 2; i++) print(raised[i] ? " yes" : " no");
    print(kept ? " kept\n" : "\n");
    _exit(0);
}

int main(void)
{
    for (uint32_t i = 0; i < 3; i++) enable_interrupt(i, 0xc0 - 0x40 * i);
    add_task(&printer_task, "printer", 3, printer, printer_stack, sizeof printer_stack);
    add_task(&filter_task, "filter", 2, filter, filter_stack, sizeof filter_stack);
    add_task(&worker_task, "worker", 1, worker, worker_stack, sizeof worker_stack);
    add_task(&heap_task, "heap", 4, on_heap, malloc(768), 768);
    start_tasks();
}
