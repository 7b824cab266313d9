/* A loader takes the address of a record in the wrong byte order and writes to an address without memory. */
#include <stdint.h>

static uint32_t image[16];
static uint8_t record[8] = {0, 0, 0, 0, 0xde, 0xad, 0xbe, 0xef};

__attribute__((noipa)) static uint32_t address_in(const uint8_t *bytes)
{
#ifdef FAULT
    return (uint32_t)bytes[3] << 24 | (uint32_t)bytes[2] << 16 | (uint32_t)bytes[1] << 8 | bytes[0];
#else
    return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
#endif
}

__attribute__((noipa)) static void load(const uint8_t *bytes)
{
    uint8_t *to = (uint8_t *)address_in(bytes);
    for (int i = 0; i < 4; i++)
        ((volatile uint8_t *)to)[i] = bytes[4 + i]; /* FAULT: unmapped_write */
}

int main(void)
{
    uint32_t address = (uint32_t)&image[3];
    for (int i = 0; i < 4; i++) record[i] = (uint8_t)(address >> (24 - 8 * i));
    load(record);
    return 0;
}
