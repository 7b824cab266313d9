/* Which thread or handler runs, and how deep its own calls go. */
#include "exception_parts.h"

/* The handler that runs is about to end: the core returns, or goes on to the next handler. */
void leave_handler(struct probe *probe, uc_engine *uc)
{
    struct context *handler = running(probe);
    if (probe->context < MOST_STACKS)
        return;
    if (handler->entry - handler->lowest > handler->depth)
        handler->depth = handler->entry - handler->lowest;
    if (read_register(probe, uc, UC_ARM_REG_CONTROL) & CONTROL_FPCA)
        handler->floats = 1;
}

/* The core has gone to another thread or handler, or SP to another stack. */
void find_context(struct probe *probe, uc_engine *uc)
{
    if (probe->exceptions->nesting == 0)
        probe->context = probe->current_stack;
    else
        probe->context = MOST_STACKS + (read_register(probe, uc, UC_ARM_REG_IPSR) & IPSR_BITS);
}

/* The stack of the thread that runs, or that exceptions have interrupted: index into stacks. */
uint32_t running_thread(const struct probe *probe)
{
    const struct exceptions *exceptions = probe->exceptions;
    return exceptions->nesting == 0 ? probe->current_stack : exceptions->interrupted[0].stack;
}
