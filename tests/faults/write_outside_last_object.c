/* A log of eight records wraps one record too late: the ninth record is in memory after the last variable. */
#include <stdint.h>

__asm__(".global __stack_limit\n.set __stack_limit, 0x2001f000"); /* 4 KB */

struct record {
    uint32_t time;
    uint16_t kind, value;
};

static struct record records[8];
#ifdef FAULT
static volatile uint32_t next = 5, last = 8;
#else
static volatile uint32_t next = 5, last = 7;
#endif

__attribute__((noipa)) static void store_time(struct record *record, uint32_t time)
{
    ((volatile struct record *)record)->time = time; /* FAULT: write_outside_objects */
}

__attribute__((noipa)) static void add(uint32_t time)
{
    store_time(&records[next], time);
    next = next == last ? 0 : next + 1;
}

int main(void)
{
    for (uint32_t time = 0; time < 6; time++) add(1000 + time);
    return 0;
}
