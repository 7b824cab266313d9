/* A report is built in a local array that is larger than the task's whole stack. */
#include <stdio.h>

__asm__(".global __stack_limit\n.set __stack_limit, 0x2001e000"); /* 8 KB */

#ifdef FAULT
#define REPORT_BYTES 9000
#else
#define REPORT_BYTES 900
#endif

struct reading {
    const char *name;
    int millivolts;
};

static const struct reading readings[] = {{"vbat", 3712}, {"vdd", 3301}, {"vref", 1212}};
static volatile int sent;

__attribute__((noipa)) static int report(const struct reading *reading, int count)
{ /* FAULT: stack_overflow */
    char text[REPORT_BYTES];
    int length = 0;
    for (int i = 0; i < count; i++)
        length += sprintf(text + length, "%s=%d mV\r\n", reading[i].name, reading[i].millivolts);
    __asm__ volatile("" ::"r"(text) : "memory");
    return length;
}

int main(void)
{
    sent = report(readings, 3);
    return 0;
}
