/* A pointer to the last record survives the realloc that moves the records. */
#include <stdint.h>
#include <stdlib.h>

struct record {
    uint32_t time, kind;
    int32_t value;
};

static struct record *records;
static unsigned used, capacity;
static void *volatile neighbour;
static volatile int32_t latest;

__attribute__((noipa)) static struct record *append(int32_t value)
{
    if (used == capacity) {
        struct record *larger = realloc(records, (capacity + 8) * sizeof *records);
        if (larger == NULL) abort();
        records = larger;
        capacity += 8;
    }
    records[used] = (struct record){used, 1, value};
    return &records[used++];
}

__attribute__((noipa)) static int32_t value_of(const volatile struct record *record)
{
    int32_t value = record->value; /* FAULT: use_after_free_read */
    return value;
}

int main(void)
{
    struct record *last = NULL;
    for (int32_t i = 0; i < 8; i++) last = append(i * i);
    neighbour = malloc(16); /* so that the records cannot grow where they are */
    append(64);
#ifndef FAULT
    last = &records[used - 2];
#endif
    latest = value_of(last);
    free(neighbour);
    free(records);
    return 0;
}
