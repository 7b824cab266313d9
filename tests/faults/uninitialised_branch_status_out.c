/* A function returns a status by pointer on every path but one: a time-out leaves the caller's local unset. */
#include <stdint.h>

enum { OK, NOT_ACKNOWLEDGED, TIMED_OUT };

static volatile uint32_t retries, done;
static const uint8_t registers[4] = {0x68, 0x00, 0x1f, 0xff};

__attribute__((noipa)) static void bus_read(uint32_t address, uint8_t *value, uint32_t *status)
{
    if (address < 3) {
        *value = registers[address];
        *status = OK;
    } else {
        *value = 0;
#ifndef FAULT
        *status = TIMED_OUT;
#endif
    }
}

__attribute__((noipa)) static void count_retry(void) { retries++; }
__attribute__((noipa)) static void count_done(void) { done++; }

__attribute__((noipa)) static void poll(uint32_t address)
{
    uint32_t status;
    uint8_t value;
    bus_read(address, &value, &status);
    if (status != OK) /* FAULT: uninitialised_branch */
        count_retry();
    else
        count_done();
    __asm__ volatile("" ::"r"(value));
}

int main(void)
{
    for (uint32_t address = 0; address < 4; address++) poll(address);
    return 0;
}
