/* A record with holes between its members goes to the UART byte by byte, holes included. */
#include <stdint.h>
#include <string.h>

struct uart {
    volatile uint32_t cr1, cr2, cr3, brr, gtpr, rtor, rqr, isr, icr, rdr, tdr;
};

struct record {
    uint8_t kind;
    uint32_t time;
    uint16_t value;
};

static struct uart *const usart1 = (struct uart *)0x40011000u;

__attribute__((noipa)) static void send(uint8_t byte)
{
    while (!(usart1->isr & 0x80)) {
    }
    usart1->tdr = byte; /* FAULT: uninitialised_output */
}

__attribute__((noipa)) static void send_record(const struct record *record)
{
    const uint8_t *bytes = (const uint8_t *)record;
    for (unsigned i = 0; i < sizeof *record; i++) send(bytes[i]);
}

__attribute__((noipa)) static void fill(struct record *record, uint32_t time, uint16_t value)
{
#ifndef FAULT
    memset(record, 0, sizeof *record);
#endif
    record->kind = 'R';
    record->time = time;
    record->value = value;
}

int main(void)
{
    struct record record;
    fill(&record, 0x31323334, 0x4142);
    send_record(&record);
    return 0;
}
