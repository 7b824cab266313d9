/* An allocator with FreeRTOS's names, and a program that calls it from any depth of the windows and keeps its own count. */
#include <stddef.h>
#include <stdint.h>

void emu_yield(void);
void emu_exit(int status);

#ifndef CALLS
#define CALLS 400
#endif

/* ---- the allocator: first fit in one static array ---------------------------------------------------------------- */

struct header {
    struct header *next;
    size_t size; /* of the block after it; its lowest bit is set if the block is free */
};

static _Alignas(8) uint8_t ucHeap[4096];

static struct header *first(void)
{
    struct header *header = (struct header *)ucHeap;
    if (header->size == 0) header->size = (sizeof ucHeap - sizeof *header) | 1;
    return header;
}

static void join_free(void)
{
    for (struct header *at = first(); at->next != NULL;) {
        if ((at->size & 1) && (at->next->size & 1)) {
            at->size += sizeof *at + (at->next->size & ~(size_t)1);
            at->next = at->next->next;
        } else {
            at = at->next;
        }
    }
}

__attribute__((noipa)) void *pvPortMalloc(size_t size)
{
    const size_t wanted = (size + 7) & ~(size_t)7;
    for (struct header *at = first(); at != NULL; at = at->next) {
        if (!(at->size & 1) || at->size < wanted) continue;
        const size_t left = (at->size & ~(size_t)1) - wanted;
        at->size = wanted;
        if (left > sizeof *at) {
            struct header *rest = (struct header *)((uint8_t *)(at + 1) + wanted);
            rest->next = at->next;
            rest->size = (left - sizeof *at) | 1;
            at->next = rest;
        } else {
            at->size += left;
        }
        return at + 1;
    }
    return NULL;
}

__attribute__((noipa)) void vPortFree(void *pointer)
{
    if (pointer == NULL) return;
    ((struct header *)pointer)[-1].size |= 1;
    join_free();
}

__attribute__((noipa)) void *pvPortCalloc(size_t count, size_t size)
{
    uint8_t *pointer = pvPortMalloc(count * size);
    for (size_t i = 0; pointer != NULL && i < count * size; i++) pointer[i] = 0;
    return pointer;
}

__attribute__((noipa)) void *pvPortRealloc(void *old, size_t size)
{
    uint8_t *new = pvPortMalloc(size);
    if (new == NULL || old == NULL) return new;
    const size_t before = ((struct header *)old)[-1].size;
    for (size_t i = 0; i < size && i < before; i++) new[i] = ((uint8_t *)old)[i];
    vPortFree(old);
    return new;
}

/* ---- the program ------------------------------------------------------------------------------------------------- */

enum { PLACES = 24, SITES = 3 };

struct truth {
    uint32_t allocations, frees, failures, live, peak;
    uint32_t live_by_site[SITES], peak_by_site[SITES]; /* bytes by the function that allocated */
} truth;

static struct {
    void *block;
    uint32_t size, site;
} places[PLACES];

static void count(uint32_t site, uint32_t bytes, int sign)
{
    truth.live += sign > 0 ? bytes : -bytes;
    truth.live_by_site[site] += sign > 0 ? bytes : -bytes;
    if (truth.live > truth.peak) {
        truth.peak = truth.live;
        for (int i = 0; i < SITES; i++) truth.peak_by_site[i] = truth.live_by_site[i];
    }
}

static void note(uint32_t place, void *block, uint32_t size, uint32_t site)
{
    if (block == NULL) {
        truth.failures++;
        return;
    }
    truth.allocations++;
    places[place].block = block;
    places[place].size = size;
    places[place].site = site;
    count(site, size, 1);
}

__attribute__((noipa)) void by_malloc(uint32_t place, uint32_t size) { note(place, pvPortMalloc(size), size, 0); }

__attribute__((noipa)) void by_calloc(uint32_t place, uint32_t size) { note(place, pvPortCalloc(size, 3), 3 * size, 1); }

__attribute__((noipa)) void by_realloc(uint32_t place, uint32_t size)
{
    void *block = pvPortRealloc(places[place].block, size);
    if (block != NULL && places[place].block != NULL) {
        truth.frees++;
        count(places[place].site, places[place].size, -1);
    }
    note(place, block, size, 2);
}

__attribute__((noipa)) void give_back(uint32_t place, uint32_t size)
{
    (void)size;
    if (places[place].block != NULL) {
        truth.frees++;
        count(places[place].site, places[place].size, -1);
    }
    vPortFree(places[place].block);
    places[place].block = NULL;
}

/* Goes down so many calls before the last one, so that windows overflow anywhere on the way to the allocator. */
__attribute__((noipa)) uint32_t at_depth(uint32_t depth, void (*what)(uint32_t, uint32_t), uint32_t place, uint32_t size)
{
    uint32_t deeper = 0;
    if (depth > 0) {
        deeper = at_depth(depth - 1, what, place, size) + 1;
    } else {
        what(place, size);
    }
    __asm__ volatile("" : "+r"(deeper)); /* else the compiler turns the recursion into a loop */
    return deeper;
}

static uint32_t random(void)
{
    static uint32_t state = 12345;
    state = state * 1664525 + 1013904223;
    return state >> 16;
}

int main(void)
{
    for (int i = 0; i < CALLS; i++) {
        const uint32_t place = random() % PLACES, size = 1 + random() % 150, depth = random() % 24;
        void (*what)(uint32_t, uint32_t) = random() % 3 == 0 ? by_realloc : random() % 2 ? by_malloc : by_calloc;
        if (what != by_realloc && places[place].block != NULL) what = give_back;
        at_depth(depth, what, place, size);
    }
    at_depth(2, by_malloc, 0, 50000); /* more than the heap has; the earlier block stays lost, as leaks do */
    emu_yield();
#ifdef TWICE
    void *block = pvPortMalloc(10);
    vPortFree(block);
    vPortFree(block); /* TWICE */
#endif
#ifdef INSIDE
    uint8_t *block = pvPortMalloc(40);
    vPortFree(block + 8); /* INSIDE */
#endif
    emu_exit(0);
    return 0;
}
