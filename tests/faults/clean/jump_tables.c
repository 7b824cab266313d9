/* A dense switch jumps through a table of bytes that lies in the code (tbb); a table of functions lies in flash. */
#include <stdint.h>

static volatile uint32_t trace;

typedef void action(uint32_t argument);

__attribute__((noipa)) static void add(uint32_t argument) { trace += argument; }
__attribute__((noipa)) static void mix(uint32_t argument) { trace ^= argument << 3; }
__attribute__((noipa)) static void clear(uint32_t argument) { trace &= ~argument; }

static action *const actions[] = {add, mix, clear};

__attribute__((noipa)) static uint32_t step(uint32_t state, uint8_t symbol)
{
    switch (symbol) {
    case 'a': add(1); return state + 1;
    case 'b': mix(2); return state ^ 1;
    case 'c': clear(4); return state + 3;
    case 'd': add(8); return state - 1;
    case 'e': mix(16); return 2;
    case 'f': return state;
    case 'g': clear(32); return state * 3;
    case 'h': add(64); return 0;
    default: return state + 7;
    }
}

int main(void)
{
    uint32_t state = 0;
    for (const char *symbols = "hgfedcba abcdefgh ceg"; *symbols; symbols++) {
        state = step(state, (uint8_t)*symbols);
        actions[state % 3](state);
    }
    return 0;
}
