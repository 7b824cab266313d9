/* A session's state, from malloc, selects the handler before the state is set. */
#include <stdint.h>
#include <stdlib.h>

struct session {
    uint32_t identifier;
    uint32_t state;
};

typedef uint32_t handler(uint32_t event);

static volatile uint32_t last;

__attribute__((noipa)) static uint32_t idle(uint32_t event) { return event; }
__attribute__((noipa)) static uint32_t opening(uint32_t event) { return event + 1; }
__attribute__((noipa)) static uint32_t open_(uint32_t event) { return event + 2; }
__attribute__((noipa)) static uint32_t closing(uint32_t event) { return event + 3; }

static handler *const volatile handlers[4] = {idle, opening, open_, closing};

__attribute__((noipa)) static handler *handler_of(uint32_t state)
{
    handler *value = handlers[state & 3]; /* FAULT: uninitialised_address */
    return value;
}

__attribute__((noipa)) static void handle(const struct session *session, uint32_t event)
{
    last = handler_of(session->state)(event);
}

int main(void)
{
    struct session *session = malloc(sizeof *session);
    if (session == NULL) return 0;
    session->identifier = 17;
#ifndef FAULT
    session->state = 0;
#endif
    handle(session, 4);
    free(session);
    return 0;
}
