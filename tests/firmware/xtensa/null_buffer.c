/* Asks for BYTES of a heap of 20,000 B, and copies into the buffer without a look at whether there is one. */
#include <stddef.h>
#include <stdint.h>

static uint8_t pool[20000] __attribute__((aligned(8)));
static size_t used;
static uint8_t sample[64];

void *heap_caps_malloc(size_t size, uint32_t caps);
__attribute__((noipa)) void *heap_caps_malloc(size_t size, uint32_t caps)
{
    (void)caps;
    if (size > sizeof pool - used) return NULL;
    used += size;
    return pool + used - size;
}

__attribute__((noipa)) static void store(volatile uint8_t *ring, const uint8_t *from, unsigned count)
{
    for (unsigned i = 0; i < count; i++) ring[i] = from[i]; /* store */
}

int main(void)
{
    store(heap_caps_malloc(BYTES, 0), sample, sizeof sample); /* ask */
    return 0;
}
