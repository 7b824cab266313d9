/* A cache keeps the entry that was found last; removing the entry from the table does not empty the cache. */
#include <stdint.h>
#include <stdlib.h>

struct entry {
    uint32_t address, reserved, port;
    uint32_t age;
};

static struct entry *table[4], *cached;
static volatile uint32_t port;

__attribute__((noipa)) static struct entry *look_up(uint32_t address)
{
    if (cached != NULL) return cached;
    for (int i = 0; i < 4; i++)
        if (table[i] != NULL && table[i]->address == address) return cached = table[i];
    return NULL;
}

__attribute__((noipa)) static void remove_entry(int index)
{
#ifndef FAULT
    cached = NULL;
#endif
    free(table[index]);
    table[index] = NULL;
}

__attribute__((noipa)) static uint32_t port_of(const volatile struct entry *entry)
{
    uint32_t value = entry->port; /* FAULT: use_after_free_read */
    return value;
}

int main(void)
{
    for (uint32_t i = 0; i < 4; i++) {
        table[i] = calloc(1, sizeof *table[i]);
        if (table[i] == NULL) return 0;
        table[i]->address = 100 + i;
        table[i]->port = i;
    }
    port = port_of(look_up(102));
    remove_entry(2);
    struct entry *entry = look_up(102);
    if (entry != NULL) port = port_of(entry);
    return 0;
}
