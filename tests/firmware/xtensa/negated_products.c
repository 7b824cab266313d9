/* MSUB.S (r - a * b) in all the places where compilers and people put it; SHAPE says which one runs. */
#include <stdint.h>

typedef union {
    float number;
    uint32_t bits;
} word;

void emu_yield(void);

#define COUNT 24
uint32_t results[COUNT];
volatile float inputs[COUNT] = {1.25f, -3.5f, 0.1f, 1e-3f, 7.0f, -0.75f, 123.456f, 1e6f, -1e-6f, 0.3333f, 2.5f, -9.0f,
                                1.1f,  -2.2f, 3.3f, -4.4f, 5.5f, -6.6f,  7.7f,     -8.8f, 9.9f,  -10.1f,  11.2f, 12.3f};

static uint32_t bits_of(float number) { return (word){.number = number}.bits; }

static __attribute__((noinline)) float leaf(float r, float a, float b) { return r - a * b; }

static __attribute__((noinline)) float recursive(int depth, float r)
{
    return depth == 0 ? r : recursive(depth - 1, r - inputs[depth] * inputs[depth + 1]) - inputs[depth] * r;
}

/* Code, padding, and a word of data that looks like MSUB.S. */
__asm__(".section .text.asm, \"ax\"\n"
        ".literal_position\n"
        ".literal .Llooks, 0x5a10205a\n"
        ".align 4\n .global first_and_last\n .type first_and_last, @function\n"
        "first_and_last:\n entry a1, 32\n wfr f0, a2\n wfr f1, a3\n wfr f2, a4\n"
        " msub.s f0, f1, f2\n rfr a2, f0\n retw.n\n .size first_and_last, . - first_and_last\n"
        ".align 4\n .global narrow\n .type narrow, @function\n"
        "narrow:\n entry a1, 32\n wfr f0, a2\n wfr f1, a3\n wfr f2, a4\n mov.n a5, a2\n"
        " msub.s f0, f1, f2\n mov.n a5, a2\n msub.s f0, f0, f0\n msub.s f1, f1, f0\n rfr a2, f1\n retw.n\n"
        " .size narrow, . - narrow\n"
        ".align 4\n .global looks_like\n .type looks_like, @function\n"
        "looks_like:\n entry a1, 32\n l32r a2, .Llooks\n retw.n\n .size looks_like, . - looks_like\n"
        ".previous\n");
float first_and_last(float r, float a, float b);
float narrow(float r, float a, float b);
uint32_t looks_like(void);

#ifdef FAR
/* More than a jump's 128 KB of code, then an MSUB.S. */
__asm__(".section .text.fill, \"ax\"\n .skip 200000\n .section .text.far, \"ax\"\n .align 4\n"
        ".global far_away\n .type far_away, @function\n"
        "far_away:\n entry a1, 32\n wfr f0, a2\n wfr f1, a3\n wfr f2, a4\n"
        " msub.s f0, f1, f2\n rfr a2, f0\n retw.n\n .size far_away, . - far_away\n .text\n");
float far_away(float r, float a, float b);
#endif

static void leaves(void)
{
    for (int i = 0; i + 2 < COUNT; i++) results[i] = bits_of(leaf(inputs[i], inputs[i + 1], inputs[i + 2]));
}

static void accumulates(void)
{
    float sum = 1.0f;
    for (int i = 0; i + 1 < COUNT; i++) {
        sum -= inputs[i] * inputs[i + 1];
        results[i] = bits_of(sum);
    }
}

static void at_a_loops_end(void)
{
    float r = inputs[0], a = inputs[1], b = inputs[2];
    uint32_t turns = 9, counted = 0;
    __asm__ volatile("loop %4, 1f\n addi.n %1, %1, 1\n msub.s %0, %2, %3\n 1:"
                     : "+f"(r), "+a"(counted)
                     : "f"(a), "f"(b), "a"(turns));
    results[0] = bits_of(r), results[1] = counted;
}

static void is_a_whole_loop(void)
{
    float r = inputs[3];
    __asm__ volatile("loopgtz %3, 1f\n msub.s %0, %1, %2\n 1:" : "+f"(r) : "f"(inputs[4]), "f"(inputs[5]), "a"(5));
    results[0] = bits_of(r);
}

static void in_a_loop_of_no_turns(void)
{
    float r = inputs[3];
    __asm__ volatile("loopnez %3, 1f\n msub.s %0, %1, %2\n 1:" : "+f"(r) : "f"(inputs[4]), "f"(inputs[5]), "a"(0));
    results[0] = bits_of(r), results[1] = 1;
}

static void in_the_middle_of_a_loop(void)
{
    float r = inputs[6];
    uint32_t counted = 0;
    __asm__ volatile("loop %4, 1f\n msub.s %0, %2, %3\n addi %1, %1, 1\n 1:"
                     : "+f"(r), "+a"(counted)
                     : "f"(inputs[7]), "f"(inputs[8]), "a"(7));
    results[0] = bits_of(r), results[1] = counted;
}

static void after_a_loop_that_is_left(void)
{
    float r = inputs[9];
    uint32_t counted = 0;
    __asm__ volatile("loop %4, 1f\n addi %1, %1, 1\n beqi %1, 3, 2f\n msub.s %0, %2, %3\n 1: nop\n 2: msub.s %0, %2, %3"
                     : "+f"(r), "+a"(counted)
                     : "f"(inputs[10]), "f"(inputs[11]), "a"(7));
    results[0] = bits_of(r), results[1] = counted;
}

static void loops_within_a_loop(void)
{
    float r = inputs[12];
    for (int i = 0; i < 4; i++) {
        __asm__ volatile("loop %3, 1f\n nop\n msub.s %0, %1, %2\n 1:" : "+f"(r) : "f"(inputs[i]), "f"(inputs[i + 1]), "a"(3));
        results[i] = bits_of(r);
    }
}

static void a_branch_leads_there(void)
{
    for (uint32_t i = 0; i < 8; i++) {
        float r = inputs[i];
        __asm__ volatile("bbci %3, 0, 1f\n neg.s %0, %0\n 1: msub.s %0, %1, %2" : "+f"(r) : "f"(inputs[i + 1]), "f"(inputs[i + 2]), "a"(i));
        results[i] = bits_of(r);
    }
}

static void between_other_products(void)
{
    for (int i = 0; i + 3 < COUNT; i++) {
        float r = inputs[i];
        __asm__ volatile("madd.s %0, %1, %2\n msub.s %0, %2, %3\n madd.s %0, %1, %3\n msub.s %0, %1, %1"
                         : "+f"(r)
                         : "f"(inputs[i + 1]), "f"(inputs[i + 2]), "f"(inputs[i + 3]));
        results[i] = bits_of(r);
    }
}

static void special_numbers(void)
{
    static const uint32_t odd[] = {0, 0x80000000, 0x7f800000, 0xff800000, 1, 0x80000001, 0x7f7fffff, 0x00800000};
    for (uint32_t i = 0; i < 8; i++)
        for (uint32_t j = 0; j < 3; j++)
            results[3 * i + j] = bits_of(leaf((word){.bits = odd[i]}.number, (word){.bits = odd[(i + j) % 8]}.number, 1.5f));
}

int main(void)
{
    emu_yield();
    SHAPE;
    emu_yield();
    return 0;
}
