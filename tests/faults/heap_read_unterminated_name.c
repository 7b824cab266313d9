/* A name is copied by its length, without the zero. The hash function later looks for the zero past the block. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static const char source[] = "thermostat-kitchen-2/state";
static volatile uint32_t hash;

__attribute__((noipa)) static char *copy_of(const char *text, size_t length)
{
#ifdef FAULT
    size_t size = length;
#else
    size_t size = length + 1;
#endif
    char *copy = malloc(size);
    if (copy == NULL) return NULL;
    memcpy(copy, text, size);
    return copy;
}

__attribute__((noipa)) static uint8_t letter(const volatile char *name, size_t index)
{
    uint8_t value = (uint8_t)name[index]; /* FAULT: heap_out_of_bounds_read */
    return value;
}

__attribute__((noipa)) static uint32_t hash_of(const char *name, size_t length)
{
    uint32_t sum = 5381;
    for (size_t i = 0; i <= length; i++) sum = sum * 33 + letter(name, i);
    return sum;
}

int main(void)
{
    size_t length = strlen(source);
    char *name = copy_of(source, length);
    if (name == NULL) return 0;
    hash = hash_of(name, length);
    free(name);
    return 0;
}
