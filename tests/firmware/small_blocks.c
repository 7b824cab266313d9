/* 1000 blocks of one byte: newlib takes 12 or 16 bytes for each of them from _sbrk. */
#include <stdint.h>
#include <stdlib.h>

extern char _heap_start[];

#ifdef IN_VARIABLE
static char storage[64 * 1024] __attribute__((aligned(8)));
char *const heap_start = storage;
#else
char *const heap_start = _heap_start;
#endif

static char *end;

void *_sbrk(int bytes)
{
    if (end == NULL) end = heap_start;
    end += bytes;
    return end - bytes;
}

volatile uint32_t taken; /* the firmware's own count */

int main(void)
{
    for (int i = 0; i < 1000; i++) {
        if (malloc(1) == NULL) return 1;
    }
    taken = (uint32_t)(end - heap_start);
    return 0;
}
