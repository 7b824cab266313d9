/* Waits for what vendors' drivers wait for, and prints a line for each peripheral through USART3. */
#include <stdint.h>

void emu_yield(void);

#define REGISTER(address) (*(volatile uint32_t *)(address))
#define RCC 0x58024400u
#define PWR 0x58024800u
#define FLASH 0x52002000u
#define SYSCFG 0x58000400u
#define USART3 0x40004800u
#define LPUART1 0x58000C00u
#define PORT 0x58020C00u
#define TIMER 0x40000400u
#define DMA 0x40020000u
#define RANDOM 0x48021800u

static char copied[16];

static void put(char letter)
{
    while (!(REGISTER(USART3 + 0x1C) & 1u << 7)) {
    }
    REGISTER(USART3 + 0x28) = (uint8_t)letter;
}

static void print(const char *name, uint32_t value)
{
    while (*name) put(*name++);
    put(' ');
    for (int shift = 28; shift >= 0; shift -= 4) put("0123456789abcdef"[value >> shift & 15]);
    put('\n');
}

/* Set the bits, and wait for others in a register. */
static void set_and_wait(uint32_t at, uint32_t bits, uint32_t ready_at, uint32_t ready)
{
    REGISTER(at) |= bits;
    while ((REGISTER(ready_at) & ready) != ready) {
    }
}

static void clocks(void)
{
    for (uint32_t bit = 0; bit < 32; bit++) /* HSI, CSI, HSI48, HSE and the three PLLs */
        if (1u << bit & 0x15011081u) set_and_wait(RCC, 1u << bit, RCC, 1u << (bit + 1));
    REGISTER(RCC + 0x10) = (REGISTER(RCC + 0x10) & ~7u) | 3u;
    while ((REGISTER(RCC + 0x10) & 0x38) != 3u << 3) { /* SWS is SW */
    }
    set_and_wait(RCC + 0x70, 1, RCC + 0x70, 2);
    set_and_wait(RCC + 0x74, 1, RCC + 0x74, 2);
    REGISTER(RCC) &= ~(1u << 24); /* a PLL that is off is not ready */
    while (REGISTER(RCC) & 1u << 25) {
    }
    print("RCC", REGISTER(RCC));
}

static void power(void)
{
    while (!(REGISTER(PWR + 0x04) & 1u << 13)) { /* ACTVOSRDY */
    }
    set_and_wait(PWR + 0x18, 3u << 14, PWR + 0x18, 1u << 13);
    print("PWR", REGISTER(PWR + 0x04));
    set_and_wait(SYSCFG + 0x20, 1, SYSCFG + 0x20, 1u << 8);
    REGISTER(FLASH) = 4;
    while (REGISTER(FLASH) != 4) {
    }
    REGISTER(FLASH + 0x04) = 0x45670123u;
    REGISTER(FLASH + 0x04) = 0xCDEF89ABu;
    print("FLASH", REGISTER(FLASH + 0x0C) | REGISTER(FLASH + 0x10)); /* unlocked, and not busy */
}

static void serial(uint32_t usart)
{
    REGISTER(usart) = 0;
    print("USART", REGISTER(usart + 0x1C));
    REGISTER(usart) = 0xD;
    while ((REGISTER(usart + 0x1C) & 3u << 21) != 3u << 21) { /* TEACK and REACK */
    }
    print("USART", REGISTER(usart + 0x1C));
}

static void port(void)
{
    REGISTER(PORT + 0x18) = 0x0021;     /* BSRR sets pins, */
    REGISTER(PORT + 0x18) = 0x00010000; /* and resets them; */
    REGISTER(PORT + 0x18) = 0x00020002; /* set wins */
    print("GPIO", REGISTER(PORT + 0x10) << 16 | REGISTER(PORT + 0x14));
}

static void timer(void)
{
    REGISTER(TIMER + 0x28) = 3;
    REGISTER(TIMER + 0x2C) = 49;
    REGISTER(TIMER + 0x14) = 1; /* UG sets UIF */
    print("UIF", REGISTER(TIMER + 0x10));
    REGISTER(TIMER + 0x10) = ~1u;
    print("UIF", REGISTER(TIMER + 0x10));
    REGISTER(TIMER) = 1;
    while (!(REGISTER(TIMER + 0x10) & 1)) { /* 200 instructions, and the rest of a loop */
    }
    print("CNT<10", REGISTER(TIMER + 0x24) < 10);
    REGISTER(TIMER) = 0;
    print("stands", REGISTER(TIMER + 0x24) == REGISTER(TIMER + 0x24));
}

static void transfers(void)
{
    static const char text[] = "by transfer\n";
    const uint32_t stream = DMA + 0x10, other = DMA + 0x10 + 5 * 0x18;
    REGISTER(stream + 4) = sizeof text;
    REGISTER(stream + 8) = (uint32_t)text;
    REGISTER(stream + 12) = (uint32_t)copied;
    REGISTER(stream) = 1u << 10 | 1u << 9 | 2u << 6 | 1; /* between memories, and both addresses move on */
    while (!(REGISTER(DMA) & 1u << 5)) {
    }
    REGISTER(DMA + 8) = 1u << 5 | 1u << 4;
    print("DMA", REGISTER(DMA) | REGISTER(stream + 4) | (REGISTER(stream) & 1));
    REGISTER(other + 4) = sizeof text - 1;
    REGISTER(other + 8) = USART3 + 0x28;
    REGISTER(other + 12) = (uint32_t)copied;
    REGISTER(other) = 1u << 10 | 1u << 6 | 1; /* to a peripheral */
    while (!(REGISTER(DMA + 4) & 1u << 11)) {
    }
    print("waits", (REGISTER(other) = 1u << 10 | 1, REGISTER(other) & 1)); /* for data that nobody sends */
}

static void random_numbers(void)
{
    set_and_wait(RANDOM, 4, RANDOM + 4, 1);
    uint32_t first = REGISTER(RANDOM + 8), second = REGISTER(RANDOM + 8);
    print("RNG", first != second && (first & second) != 0);
}

int main(void)
{
    emu_yield();
    clocks();
    power();
    serial(USART3);
    serial(LPUART1);
    port();
    timer();
    transfers();
    random_numbers();
    emu_yield();
    return 0;
}
