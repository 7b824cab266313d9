/* A log is larger than the heap; the program does not check what malloc returns. */
#include <stdint.h>
#include <stdlib.h>

struct log {
    uint32_t capacity, used, sequence;
    uint32_t entries[];
};

#ifdef FAULT
static volatile uint32_t entries = 1u << 20;
#else
static volatile uint32_t entries = 1u << 10;
#endif
static volatile uint32_t opened;

__attribute__((noipa)) static void start(struct log *log)
{
    ((volatile struct log *)log)->sequence = 1; /* FAULT: null_pointer_write */
}

int main(void)
{
    struct log *log = malloc(sizeof *log + entries * sizeof log->entries[0]);
    start(log);
    opened++;
    free(log);
    return 0;
}
