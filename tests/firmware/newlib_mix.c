/* The functions of newlib that ordinary firmware calls: formatted floats, sorting, and the heap. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void emu_yield(void);

static int ascending(const void *a, const void *b) { return *(const int *)a - *(const int *)b; }

int main(void)
{
    char text[80];
    int numbers[64];
    for (int i = 0; i < 64; i++) numbers[i] = (i * 37) % 64;
    emu_yield();
    qsort(numbers, 64, sizeof numbers[0], ascending);
    emu_yield();
    snprintf(text, sizeof text, "%f %e %s %d", 3.25, 1e-9, "text", numbers[3]);
    emu_yield();
    printf("%s %g\n", text, strtod("2.5", NULL));
    return text[0] == '3' ? 0 : 1;
}
