/* The heap is below the stack, but its end is set to the end of the memory: _sbrk gives away the stack's part. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

__asm__(".global _heap_start, _heap_end\n.set _heap_start, 0x2001e000\n.set _heap_end, 0x20020000");

#ifdef FAULT
#define RECORDS 16
#else
#define RECORDS 4
#endif

struct record {
    struct record *next;
    uint32_t samples[127];
};

static struct record *first;

__attribute__((noipa)) static int append(uint32_t value)
{
    struct record *record = malloc(sizeof *record); /* FAULT: heap_meets_stack */
    if (record == NULL) return -1;
    record->samples[0] = value;
    record->next = first;
    first = record;
    return 0;
}

int main(void)
{
    for (uint32_t i = 0; i < RECORDS; i++)
        if (append(i)) break;
    return 0;
}
