/* A pool of fixed blocks is made from one malloc; a free block holds the link to the next free block. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK_BYTES 24

struct pool {
    void *memory;
    void *free;
};

static volatile uint32_t taken;

__attribute__((noipa)) static void give(struct pool *pool, void *block)
{
    memcpy(block, &pool->free, sizeof pool->free);
    pool->free = block;
}

__attribute__((noipa)) static void *take(struct pool *pool)
{
    void *block = pool->free;
    if (block != NULL) {
        memcpy(&pool->free, block, sizeof pool->free);
        taken++;
    }
    return block;
}

int main(void)
{
    struct pool pool = {malloc(8 * BLOCK_BYTES), NULL};
    void *held[9];
    if (pool.memory == NULL) return 0;
    for (int i = 0; i < 8; i++) give(&pool, (uint8_t *)pool.memory + i * BLOCK_BYTES);
    for (int round = 0; round < 3; round++) {
        int count = 0;
        while ((held[count] = take(&pool)) != NULL) memset(held[count++], round, BLOCK_BYTES);
        while (count > 0) give(&pool, held[--count]);
    }
    free(pool.memory);
    return taken == 24 ? 0 : 1;
}
