/* The source holds the descriptors' old address; the linker script has moved them, and nothing is there now. */
#include <stdint.h>

struct descriptor {
    volatile uint32_t status, control, buffer, next;
};

static struct descriptor ring[4];
#ifdef FAULT
#define RING ((struct descriptor *)0x30000100u)
#else
#define RING ring
#endif
static uint8_t frames[4][64];

__attribute__((noipa)) static void give_to_dma(struct descriptor *descriptor)
{
    descriptor->status = 0x80000000u; /* FAULT: write_outside_objects */
}

__attribute__((noipa)) static void prepare(void)
{
    for (uint32_t i = 0; i < 4; i++) {
        ring[i].buffer = (uint32_t)frames[i];
        ring[i].next = (uint32_t)&ring[(i + 1) % 4];
        give_to_dma(&RING[i]);
    }
}

int main(void)
{
    prepare();
    return 0;
}
