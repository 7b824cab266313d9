/* A work array on the stack is as long as the block that arrived; no code limits the length of a block. */
#include <stdint.h>

__asm__(".global __stack_limit\n.set __stack_limit, 0x2001f000"); /* 4 KB */

#ifdef FAULT
static volatile uint32_t block_length = 2048;
#else
static volatile uint32_t block_length = 128;
#endif
static float block[2048];
static volatile float output;

__attribute__((noipa)) static float smooth(const float *samples, uint32_t count)
{
    float work[count]; /* FAULT: stack_overflow */
    float state = 0.0f;
    for (uint32_t i = 0; i < count; i++) {
        state += 0.25f * (samples[i] - state);
        work[i] = state;
    }
    __asm__ volatile("" ::"r"(work) : "memory");
    return work[count / 2];
}

int main(void)
{
    for (uint32_t i = 0; i < 2048; i++) block[i] = (float)(i % 50);
    output = smooth(block, block_length);
    return 0;
}
