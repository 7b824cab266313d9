/* A table of subscriptions grows with realloc, which does not clear the new entries as calloc cleared the first. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

struct subscription {
    uint32_t topic;
    uint32_t active;
};

static struct subscription *table;
static unsigned capacity;
static volatile uint32_t active;

__attribute__((noipa)) static int grow(void)
{
    unsigned more = capacity * 2;
    struct subscription *larger = realloc(table, more * sizeof *table);
    if (larger == NULL) return -1;
#ifndef FAULT
    memset(larger + capacity, 0, (more - capacity) * sizeof *larger);
#endif
    table = larger;
    capacity = more;
    return 0;
}

__attribute__((noipa)) static void count_one(void) { active++; }

__attribute__((noipa)) static void count_if_active(const struct subscription *subscription)
{
    if (subscription->active == 1) /* FAULT: uninitialised_branch */
        count_one();
    __asm__ volatile("");
}

int main(void)
{
    capacity = 4;
    table = calloc(capacity, sizeof *table);
    if (table == NULL) return 0;
    table[1].active = 1;
    if (grow()) return 0;
    for (unsigned i = 0; i < capacity; i++) count_if_active(&table[i]);
    free(table);
    return 0;
}
