/* A connection comes from malloc, not from calloc; its `closing` flag is read before it is set. */
#include <stdint.h>
#include <stdlib.h>

struct connection {
    uint32_t peer;
    uint16_t port, window;
    uint32_t closing;
};

static volatile uint32_t open_connections;

__attribute__((noipa)) static struct connection *accept_from(uint32_t peer, uint16_t port)
{
    struct connection *connection = malloc(sizeof *connection);
    if (connection == NULL) return NULL;
    connection->peer = peer;
    connection->port = port;
    connection->window = 1460;
#ifndef FAULT
    connection->closing = 0;
#endif
    return connection;
}

__attribute__((noipa)) static void shut(struct connection *connection) { connection->window = 0; }

__attribute__((noipa)) static void service(struct connection *connection)
{
    if (connection->closing) /* FAULT: uninitialised_branch */
        shut(connection);
    open_connections++;
}

int main(void)
{
    struct connection *connection = accept_from(0x0a000001, 502);
    if (connection == NULL) return 0;
    service(connection);
    free(connection);
    return 0;
}
