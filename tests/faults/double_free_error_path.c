/* An error path frees the buffer and falls through to the clean-up that frees it again. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static const uint8_t packet[] = {0x7e, 0x20, 1, 2, 3, 4, 0x55};
static volatile int failures;

__attribute__((noipa)) static void release(uint8_t *buffer)
{
    free(buffer); /* FAULT: double_free */
    failures = failures + 0;
}

__attribute__((noipa)) static int receive(const uint8_t *bytes, size_t size)
{
    uint8_t *copy = malloc(size);
    uint8_t sum = 0;
    if (copy == NULL) return -1;
    memcpy(copy, bytes, size);
    for (size_t i = 0; i + 1 < size; i++) sum ^= copy[i];
    if (sum != copy[size - 1]) {
        failures++;
#ifdef FAULT
        free(copy);
#endif
        goto done;
    }
    sum = 0;
done:
    release(copy);
    return sum;
}

int main(void)
{
    receive(packet, sizeof packet);
    return 0;
}
