/* A device is looked up by name and not found; its member is read through the null pointer, from address 0. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct device {
    const char *name;
    uint32_t base, clock;
};

static const struct device devices[] = {{"uart1", 0x40011000, 64}, {"spi1", 0x40013000, 48}};
#ifdef FAULT
static const char *const wanted = "i2c1";
#else
static const char *const wanted = "spi1";
#endif
static volatile uint32_t clock;

__attribute__((noipa)) static const struct device *find(const char *name)
{
    for (unsigned i = 0; i < sizeof devices / sizeof devices[0]; i++)
        if (strcmp(devices[i].name, name) == 0) return &devices[i];
    return NULL;
}

__attribute__((noipa)) static uint32_t clock_of(const volatile struct device *device)
{
    uint32_t value = device->clock; /* FAULT: null_pointer_read */
    return value;
}

int main(void)
{
    clock = clock_of(find("uart1"));
    clock = clock_of(find(wanted));
    return 0;
}
