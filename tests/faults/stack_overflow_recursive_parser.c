/* A recursive parser has no depth limit: the text that it receives decides how deep the stack gets. */
#include <string.h>

__asm__(".global __stack_limit\n.set __stack_limit, 0x2001f000"); /* 4 KB */

static char message[401];
static const char *position;
static volatile long result;

__attribute__((noipa)) static long parse_list(int depth)
{ /* FAULT: stack_overflow */
    volatile char token[24];
    long sum = 0;
    unsigned length = 0;
#ifndef FAULT
    if (depth > 16) return -1;
#endif
    while (*position != ']' && *position != 0) {
        if (*position == '[') {
            position++;
            sum += parse_list(depth + 1);
        } else {
            token[length++ % sizeof token] = *position++;
            sum += token[(length - 1) % sizeof token] - '0';
        }
    }
    if (*position == ']') position++;
    return sum;
}

int main(void)
{
    memset(message, '[', 200);
    memset(message + 200, ']', 200);
    position = message;
    result = parse_list(0);
    return 0;
}
