/* A handler closes the connection; its caller then counts the handled bytes in the closed connection. */
#include <stdint.h>
#include <stdlib.h>

struct connection {
    int (*on_data)(struct connection *connection, const uint8_t *bytes, uint32_t count);
    uint32_t peer, received, state;
};

static volatile uint32_t closed;

__attribute__((noipa)) static int echo(struct connection *connection, const uint8_t *bytes, uint32_t count)
{
    if (count == 1 && bytes[0] == 4) {
        free(connection);
        closed++;
        return -1;
    }
    return 0;
}

__attribute__((noipa)) static void note_received(struct connection *connection, uint32_t count)
{
    *(volatile uint32_t *)&connection->received = count; /* FAULT: use_after_free_write */
}

__attribute__((noipa)) static int receive(struct connection *connection, const uint8_t *bytes, uint32_t count)
{
    int status = connection->on_data(connection, bytes, count);
#ifndef FAULT
    if (status == 0)
#endif
        note_received(connection, count);
    return status;
}

int main(void)
{
    static const uint8_t hello[] = "hello", end[] = {4};
    struct connection *connection = malloc(sizeof *connection);
    if (connection == NULL) return 0;
    *connection = (struct connection){echo, 0x0a000002, 0, 1};
    receive(connection, hello, 5);
    receive(connection, end, 1);
    return 0;
}
