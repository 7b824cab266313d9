/* A log line of fixed length goes out through the debugger; the buffer was never written after the text. */
#include <stdint.h>

#define LINE_BYTES 24

struct message {
    uint32_t file, address, length;
};

__attribute__((noipa)) static void host_write(const struct message *message)
{
    register uint32_t operation __asm__("r0") = 5;
    register const struct message *parameter __asm__("r1") = message;
    __asm__ volatile("bkpt #0xab" : "+r"(operation) : "r"(parameter) : "memory"); /* FAULT: uninitialised_output */
}

__attribute__((noipa)) static unsigned put(char *line, const char *text)
{
    unsigned length = 0;
    while (text[length]) {
        line[length] = text[length];
        length++;
    }
    return length;
}

__attribute__((noipa)) static void log_line(const char *text)
{
    char line[LINE_BYTES];
    unsigned length = put(line, text);
#ifndef FAULT
    while (length < LINE_BYTES - 1) line[length++] = ' ';
#endif
    line[LINE_BYTES - 1] = '\n';
    __asm__ volatile("" ::"r"(length));
    host_write(&(struct message){1, (uint32_t)line, LINE_BYTES});
}

int main(void)
{
    log_line("boot: clock 64 MHz");
    return 0;
}
