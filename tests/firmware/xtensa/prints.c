/* Prints as ESP-IDF does: waits for room in the FIFO, then writes a byte. First UART0, then USB_SERIAL_JTAG. */
#include <stdint.h>

void emu_exit(int status);

#define UART0_FIFO         (*(volatile uint32_t *)0x60000000u)
#define UART0_STATUS       (*(volatile uint32_t *)0x6000001cu)
#define TRANSMIT_COUNT(x)  (((x) >> 16) & 0x3ffu)
#define USB_EP1            (*(volatile uint32_t *)0x60038000u)
#define USB_EP1_CONF       (*(volatile uint32_t *)0x60038004u)
#define USB_ROOM           2u
#define USB_WRITE_DONE     1u

static void print_to_uart(const char *text)
{
    for (; *text; text++) {
        while (TRANSMIT_COUNT(UART0_STATUS) >= 126u) continue;
        UART0_FIFO = (uint8_t)*text;
    }
}

static void print_to_usb(const char *text)
{
    for (; *text; text++) {
        while (!(USB_EP1_CONF & USB_ROOM)) continue;
        USB_EP1 = (uint8_t)*text;
    }
    USB_EP1_CONF = USB_WRITE_DONE;
}

int main(void)
{
    print_to_uart("hello from UART0\n");
    print_to_usb("and from USB\n");
    emu_exit(3);
}
