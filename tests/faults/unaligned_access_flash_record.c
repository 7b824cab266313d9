/* A record is put into a page buffer with STRD, two words at a time, after a label of odd length. */
#include <stdint.h>

struct sample {
    uint64_t time;
    uint64_t value;
};

static uint8_t page[64] __attribute__((aligned(8)));
static volatile uint32_t used;

__attribute__((noipa)) static void store(uint8_t *to, uint64_t word)
{
    *(volatile uint64_t *)to = word; /* FAULT: unaligned_access */
}

__attribute__((noipa)) static void add(const char *label, const struct sample *sample)
{
    uint32_t at = 0;
    while (label[at]) {
        page[at] = (uint8_t)label[at];
        at++;
    }
#ifndef FAULT
    at = (at + 7) & ~7u;
#endif
    store(page + at, sample->time);
    used = at + 8;
}

int main(void)
{
    add("flow", &(struct sample){1000, 42});
#ifdef FAULT
    add("level", &(struct sample){2000, 17});
#else
    add("levels..", &(struct sample){2000, 17});
#endif
    return 0;
}
