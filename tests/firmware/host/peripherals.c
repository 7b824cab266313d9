/* The peripherals' registers without an emulator: time goes on by 1 with each access, and there are 4 KB of memory. */
#include "peripherals.h"

#include <string.h>

static struct output output;
static struct poll poll;
static uint64_t time;
static uint8_t memory[4096];
static struct peripherals all;

static uint64_t now(void *nothing) { return (void)nothing, time; }

static bool load(void *nothing, uint32_t address, void *data, uint32_t bytes)
{
    (void)nothing;
    if (address > sizeof memory - bytes) return false;
    memcpy(data, memory + address, bytes);
    return true;
}

static bool store(void *nothing, uint32_t address, const void *data, uint32_t bytes)
{
    (void)nothing;
    if (address > sizeof memory - bytes) return false;
    memcpy(memory + address, data, bytes);
    return true;
}

void start(void)
{
    release_peripherals(&all);
    memset(&output, 0, sizeof output);
    memset(memory, 0, sizeof memory);
    all = (struct peripherals){.output = &output, .poll = &poll, .instructions = &time, .now = now, .load = load, .store = store};
}

bool describe(const char *line) { return describe_peripheral(&all, line); }

bool read_at(uint32_t address, uint32_t bytes, uint32_t *value)
{
    struct peripheral *peripheral = peripheral_at(&all, address, bytes);
    if (peripheral == NULL) return false;
    time++;
    *value = read_registers(peripheral, address - peripheral->start, bytes);
    return true;
}

bool write_at(uint32_t address, uint32_t bytes, uint32_t value)
{
    struct peripheral *peripheral = peripheral_at(&all, address, bytes);
    if (peripheral == NULL) return false;
    time++;
    write_registers(peripheral, address - peripheral->start, bytes, value);
    return true;
}

uint32_t printed_count(void) { return (uint32_t)output.printed; }
uint32_t printed(uint32_t index) { return output.bytes[index]; }
uint32_t load_byte(uint32_t address) { return memory[address]; }
void store_byte(uint32_t address, uint32_t byte) { memory[address] = (uint8_t)byte; }
