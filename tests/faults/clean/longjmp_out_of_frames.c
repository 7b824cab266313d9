/* longjmp leaves several frames at once; the stack below is then used again by other functions. */
#include <setjmp.h>
#include <stdint.h>

static jmp_buf recovery;
static volatile uint32_t errors, parsed;

__attribute__((noipa)) static uint32_t nested(const char *text, int depth)
{
    volatile uint32_t locals[8];
    locals[depth & 7] = (uint32_t)*text;
    if (*text == '!') longjmp(recovery, depth);
    if (*text == 0) return 0;
    return nested(text + 1, depth + 1) + locals[depth & 7];
}

__attribute__((noipa)) static void parse(const char *text)
{
    int depth = setjmp(recovery);
    if (depth == 0)
        parsed += nested(text, 1);
    else
        errors += (uint32_t)depth;
}

__attribute__((noipa)) static uint32_t use_the_stack_again(uint32_t seed)
{
    uint32_t values[32], sum = 0;
    for (uint32_t i = 0; i < 32; i++) values[i] = seed * i;
    for (uint32_t i = 0; i < 32; i++) sum += values[31 - i];
    return sum;
}

int main(void)
{
    parse("abc!def");
    parsed += use_the_stack_again(3);
    parse("abcdef");
    parse("!");
    return errors == 5 ? 0 : 1;
}
