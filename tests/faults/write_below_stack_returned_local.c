/* A constructor returns the address of its own local; the caller sets a member through that address. */
#include <stdint.h>

struct task {
    uint32_t stack[40];
    uint32_t priority;
};

static volatile uint32_t priority;

__attribute__((noipa)) static struct task *make_task(uint32_t fill)
{
#ifndef FAULT
    static
#endif
        struct task task;
    struct task *made = &task;
    for (unsigned i = 0; i < 40; i++) ((volatile struct task *)made)->stack[i] = fill;
    __asm__ volatile("" : "+r"(made)::"memory"); /* otherwise the compiler returns null */
    return made;
}

__attribute__((noipa)) static void set_guard(struct task *task, uint32_t value)
{
    ((volatile struct task *)task)->stack[0] = value; /* FAULT: write_below_stack */
}

int main(void)
{
    struct task *task = make_task(0xa5a5a5a5u);
    set_guard(task, 3);
    priority = 3;
    return 0;
}
