/* A configuration is set member by member; the newest member is forgotten. */
#include <stdint.h>

struct uart_config {
    uint32_t baud;
    uint8_t bits, parity, stop;
    uint8_t flow_control;
};

static volatile uint32_t control, divider;

__attribute__((noipa)) static void set_rts_cts(void) { control |= 0x300; }

__attribute__((noipa)) static void configure(const struct uart_config *config)
{
    divider = 64000000u / config->baud;
    control = (uint32_t)(config->bits == 9) << 12 | (uint32_t)config->parity << 10 | (uint32_t)config->stop;
    if (config->flow_control) /* FAULT: uninitialised_branch */
        set_rts_cts();
    control |= 1;
}

int main(void)
{
    struct uart_config config;
    config.baud = 115200;
    config.bits = 8;
    config.parity = 0;
    config.stop = 1;
#ifndef FAULT
    config.flow_control = 0;
#endif
    configure(&config);
    return 0;
}
