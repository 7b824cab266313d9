/* A program as for a desktop computer: newlib's --specs=rdimon.specs does the rest. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

extern uint32_t _estack[], _data_start[], _data_end[], _data_load[];

void _start(void);
void reset_handler(void);

__attribute__((section(".isr_vector"), used)) static const uintptr_t vectors[2] = {
    (uintptr_t)_estack, (uintptr_t)reset_handler};

void reset_handler(void)
{
    const uint32_t *from = _data_load;
    for (uint32_t *to = _data_start; to < _data_end; to++) *to = *from++;
    _start();
}

int main(int argc, char **argv)
{
    double *values = malloc(3 * sizeof *values);
    values[0] = 3.14159265358979, values[1] = -1e-9, values[2] = 6.02214076e23;
    printf("%f %g %.3e\n", values[0], values[1], values[2]);
    fprintf(stderr, "to stderr: %d arguments, %s\n", argc, argv[0] ? "a name" : "no name");
    printf("file %p, key %d\n", (void *)fopen("data.bin", "rb"), getchar());
    free(values);
    return STATUS;
}
