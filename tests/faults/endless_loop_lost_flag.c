/* A driver polls a ready bit without a time limit. The code that started the conversion has cleared the bit. */
#include <stdint.h>

struct converter {
    volatile uint32_t status, control, data;
};

static struct converter converter;
static volatile uint32_t sample;

__attribute__((noipa)) static void start(struct converter *adc)
{
    adc->data = 2048;
    adc->status = 1;
    adc->control = 5;
#ifdef FAULT
    adc->status = 0;
#endif
}

__attribute__((noipa)) static uint32_t read_when_ready(struct converter *adc)
{
    while (!(adc->status & 1)) __asm__ volatile(""); /* FAULT: instruction_budget */
    return adc->data;
}

int main(void)
{
    start(&converter);
    sample = read_when_ready(&converter);
    return 0;
}
