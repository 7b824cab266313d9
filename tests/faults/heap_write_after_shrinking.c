/* A receive buffer is shrunk to the bytes that came; the writer still uses the old capacity. */
#include <stdint.h>
#include <stdlib.h>

struct buffer {
    uint8_t *bytes;
    size_t used, capacity;
};

static struct buffer buffer;

__attribute__((noipa)) static void append(struct buffer *to, uint8_t byte)
{
    if (to->used == to->capacity) return;
    ((volatile uint8_t *)to->bytes)[to->used++] = byte; /* FAULT: heap_out_of_bounds_write */
}

__attribute__((noipa)) static void shrink(struct buffer *to)
{
    uint8_t *smaller = realloc(to->bytes, to->used);
    if (smaller == NULL) return;
    to->bytes = smaller;
#ifndef FAULT
    to->capacity = to->used;
#endif
}

int main(void)
{
    buffer.capacity = 64;
    buffer.bytes = malloc(buffer.capacity);
    if (buffer.bytes == NULL) return 0;
    for (uint8_t i = 0; i < 25; i++) append(&buffer, i);
    shrink(&buffer);
    append(&buffer, '\n');
    append(&buffer, 0);
    free(buffer.bytes);
    return 0;
}
