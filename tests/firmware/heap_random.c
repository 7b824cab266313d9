/* Random allocations, frees and reallocations from nested, recursive and indirect callers; SEED picks the sequence. */
#include <malloc.h>
#include <stdint.h>
#include <stdlib.h>

#ifndef SEED
#define SEED 1
#endif
#ifndef STEPS
#define STEPS 400
#endif

void emu_yield(void);

static void *volatile slots[24];
static uint32_t state = SEED;

static uint32_t random_number(void)
{
    state ^= state << 13;
    state ^= state >> 17;
    return state ^= state << 5;
}

__attribute__((noinline)) void *tail_called(size_t size) { return malloc(size); }

__attribute__((noinline)) void *wrapped(size_t size)
{
    void *pointer = malloc(size);
    if (pointer != NULL) *(volatile char *)pointer = 1;
    return pointer;
}

__attribute__((noinline)) void *recursive(size_t size, int depth)
{
    volatile char frame[16];
    frame[0] = (char)depth;
    if (depth == 0) return wrapped(size);
    if (depth % 3 == 0) free(wrapped(size / 2)); /* an allocation on the way down */
    void *pointer = recursive(size, depth - 1);
    return frame[0] == (char)depth ? pointer : NULL;
}

static void *(*volatile indirect)(size_t) = malloc;

int main(void)
{
    for (int step = 0; step < STEPS; step++) {
        uint32_t index = random_number() % 24, size = random_number() % 200;
        void *old = slots[index];
        switch (random_number() % 10) {
        case 0: slots[index] = realloc(old, size + 1); continue;
        case 1: slots[index] = realloc(old, 0); continue;
        case 2: slots[index] = memalign(32, size); break;
        case 3: slots[index] = calloc(size / 8 + 1, 8); break;
        case 4: slots[index] = recursive(size, (int)(random_number() % 7)); break;
        case 5: slots[index] = tail_called(size); break;
        case 6: slots[index] = indirect(size); break;
        case 7: slots[index] = malloc(step % 50 == 0 ? 100u << 20 : size); break;
        default: slots[index] = NULL; break;
        }
        free(old);
    }
    emu_yield();
    return 0;
}
