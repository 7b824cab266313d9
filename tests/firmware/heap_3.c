/* FreeRTOS's heap_3: its functions are newlib's under other names, by a call or a jump. */
#include <stdint.h>
#include <stdlib.h>

void emu_yield(void);

__attribute__((noipa)) void *pvPortMalloc(size_t size) { return malloc(size); }
__attribute__((noipa)) void vPortFree(void *pointer) { free(pointer); }

static void *volatile kept[3];

int main(void)
{
    for (int i = 0; i < 3; i++) kept[i] = pvPortMalloc(100u + (unsigned)i);
    void *volatile passing = malloc(50);
    free(passing);
    emu_yield();
    for (int i = 0; i < 3; i++) vPortFree(kept[i]);
    emu_yield();
    return 0;
}
