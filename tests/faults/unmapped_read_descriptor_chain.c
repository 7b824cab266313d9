/* A chain of buffer descriptors ends with the erased-flash value instead of null: the walk follows that value. */
#include <stddef.h>
#include <stdint.h>

struct descriptor {
    uint32_t bytes;
    const struct descriptor *next;
};

#ifdef FAULT
#define END ((const struct descriptor *)0xfffffff0u)
#else
#define END NULL
#endif

static const struct descriptor tail = {60, END}, middle = {1500, &tail}, head = {128, &middle};
static volatile uint32_t total;

__attribute__((noipa)) static uint32_t bytes_of(const volatile struct descriptor *descriptor)
{
    uint32_t value = descriptor->bytes; /* FAULT: unmapped_read */
    return value;
}

__attribute__((noipa)) static uint32_t chain_bytes(const struct descriptor *descriptor)
{
    uint32_t sum = 0;
    for (; descriptor != NULL; descriptor = descriptor->next) sum += bytes_of(descriptor);
    return sum;
}

int main(void)
{
    total = chain_bytes(&head);
    return 0;
}
