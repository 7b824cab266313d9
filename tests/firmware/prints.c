/* PRINTS prints through a UART or a debugger; marks name the lines that the tests look for. */
#include <stdint.h>

void emu_yield(void);

static uint32_t ram_port[16];

struct uart {
    volatile uint32_t cr1, cr2, cr3, brr, gtpr, rtor, rqr, isr, icr, rdr, tdr;
};

static inline __attribute__((always_inline)) uint32_t semihosting(uint32_t operation, const void *parameter)
{
    register uint32_t r0 __asm__("r0") = operation;
    register const void *r1 __asm__("r1") = parameter;
    __asm__ volatile("bkpt #0xab" : "+r"(r0) : "r"(r1) : "memory");
    return r0;
}

__attribute__((noipa)) static void put(struct uart *uart, const char *text)
{
    uart->brr = 64;
    uart->cr1 = 9;
    for (; *text; text++) {
        while (!(uart->isr & 1u << 7)) {
        }
        uart->tdr = (uint8_t)*text;
    }
    while (!(uart->isr & 1u << 6)) {
    }
}

__attribute__((noinline)) static void put_in_ram(const char *text)
{
    struct uart *uart = (struct uart *)ram_port;
    uart->isr = 0xC0;
    put(uart, text);
}

/* ITM_SendChar of CMSIS. */
__attribute__((noinline)) static void put_by_itm(const char *text)
{
    volatile uint32_t *itm = (volatile uint32_t *)0xE0000000u;
    for (; *text; text++)
        if ((itm[0xE80 / 4] & 1) && (itm[0xE00 / 4] & 1)) {
            while (itm[0] == 0) {
            }
            *(volatile uint8_t *)itm = (uint8_t)*text;
        }
}

__attribute__((noinline)) static uint32_t flash_kilobytes(void) { return *(volatile uint16_t *)0x1FF1E880u; }

__attribute__((noinline)) static uint32_t identity(void)
{
    volatile uint32_t *uid = (volatile uint32_t *)0x1FF1E800u;
    return uid[0] && uid[1] && uid[2];
}

__attribute__((noinline)) static void write0(const char *text) { semihosting(4, text); }

/* A text in a larger array, of which the bytes behind the text have no value, or the text itself has a hole. */
__attribute__((noipa, unused)) static void write0_of_local(uint32_t set)
{
    volatile char text[64];
    for (uint32_t i = 0; i < set; i++) text[i] = 'a';
    text[4] = 0;
    semihosting(4, (const char *)text);
}

__attribute__((noinline)) static void writec(const char *text)
{
    for (; *text; text++) semihosting(3, text);
}

__attribute__((noinline)) static void write_error(const char *text, uint32_t length)
{
    uint32_t block[3] = {2, (uint32_t)text, length};
    semihosting(5, block); /* write_error */
}

__attribute__((noinline)) static void exits(void) { semihosting(0x18, (void *)0x20026); }

__attribute__((noinline)) static void aborts(void) { semihosting(0x18, (void *)0x20023); }

__attribute__((noinline)) static void exits_with(uint32_t status)
{
    uint32_t block[2] = {0x20026, status};
    semihosting(0x20, block);
}

__attribute__((noinline)) static void system_call(void)
{
    semihosting(0x12, "reboot"); /* system_call */
}

__attribute__((noinline)) static void no_operation(void)
{
    semihosting(0x77, 0); /* no_operation */
}

__attribute__((noinline)) static void never_ending(void)
{
    for (;;) semihosting(0x10, 0); /* never_ending */
}

__attribute__((noinline)) static void floods(uint32_t lines)
{
    while (lines--) write0("0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcde\n");
}

__attribute__((noinline)) static void unmodelled_write(void)
{
    *(volatile uint32_t *)0x58026410u = 1; /* unmodelled_write */
}

__attribute__((noinline)) static void unmodelled_fetch(void)
{
    ((void (*)(void))0x58024401u)(); /* unmodelled_fetch */
    __asm__ volatile(""); /* so that it is no tail call */
}

__attribute__((noinline)) static void unmodelled_neighbour(void)
{
    volatile uint32_t *i2c1 = (volatile uint32_t *)0x40005400u; /* in UART5's page */
    ((struct uart *)0x40005000u)->tdr = '!';
    (void)*i2c1; /* unmodelled_neighbour */
    ((struct uart *)0x40005000u)->tdr = '?';
}

__attribute__((noinline)) static uint32_t stubbed(void)
{
    volatile uint32_t *hsem = (volatile uint32_t *)0x58026400u;
    hsem[0] = 0x12345678;
    hsem[1] |= 5;
    *((volatile uint8_t *)hsem + 1) = 0xAA;
    return hsem[0] == 0x1234AA78 && hsem[1] == 5 && hsem[2] == 0 ? 0 : 1;
}

int main(void)
{
    emu_yield();
    PRINTS;
    emu_yield();
    return 0;
}
