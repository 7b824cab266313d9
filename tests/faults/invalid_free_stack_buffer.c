/* Short messages are built on the stack, long ones on the heap; the clean-up frees both. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static uint8_t payload[200];
static volatile uint32_t crc;

__attribute__((noipa)) static uint32_t checksum(const uint8_t *bytes, size_t size)
{
    uint32_t sum = 1;
    for (size_t i = 0; i < size; i++) sum = sum * 31 + bytes[i];
    return sum;
}

__attribute__((noipa)) static uint32_t send(const uint8_t *bytes, size_t size)
{
    uint8_t small[32], *frame = size + 2 <= sizeof small ? small : malloc(size + 2);
    uint32_t sum;
    if (frame == NULL) return 0;
    frame[0] = 0x7e;
    frame[1] = (uint8_t)size;
    memcpy(frame + 2, bytes, size);
    sum = checksum(frame, size + 2);
#ifndef FAULT
    if (frame != small)
#endif
        free(frame); /* FAULT: invalid_free */
    return sum;
}

int main(void)
{
    crc = send(payload, sizeof payload);
    crc = send(payload, 20);
    return 0;
}
