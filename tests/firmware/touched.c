/* Reserves 1000 bytes of stack in every leg, and writes at the offset that the harness chooses. */
#include <stdint.h>

void emu_yield(void);

volatile uint32_t index_to_write = 1000; /* 1000: nowhere */
volatile uint8_t value_to_write;

static volatile uint8_t *volatile array;

__attribute__((noinline)) static void reserve(void)
{
    volatile uint8_t bytes[1000];
    array = bytes; /* so that its address is known */
    if (index_to_write < 1000) bytes[index_to_write] = value_to_write;
}

int main(void)
{
    for (;;) {
        emu_yield();
        reserve();
    }
}
