/* The duties of every allocator; main returns the number of the first duty that the allocator breaks. */
#include <malloc.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static volatile int seen;

static int is_zero(const unsigned char *bytes, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (bytes[i] != 0) return 0;
    return 1;
}

int main(void)
{
    char *text = malloc(6);
    if (text == NULL) return 1;
    strcpy(text, "short");
    text = realloc(text, 5000);
    if (text == NULL || strcmp(text, "short") != 0) return 2;
    text = realloc(text, 3);
    if (memcmp(text, "sho", 3) != 0) return 3;
    unsigned char *zeros = calloc(7, 11);
    if (zeros == NULL || !is_zero(zeros, 77)) return 4;
    void *aligned = memalign(256, 10);
    if (((uintptr_t)aligned & 255) != 0) return 5;
    void *fresh = realloc(NULL, 12);
    if (fresh == NULL || fresh == aligned) return 6;
    if (malloc(0x7fffffff) != NULL) return 7;
#ifdef WRAPPED
    static volatile size_t many = 0x10001;
    void *volatile wrapped = calloc(0x10000, many);
    free(wrapped); /* newlib's allocator does not see that this is more than the heap */
#endif
    free(NULL);
    free(text);
    free(zeros);
    free(aligned);
    free(fresh);
#ifdef FAR
    char *first = malloc(16), *second = malloc(16);
    memset(second, 'x', 16);
    *(volatile char *)(first + FAR) = 'y'; /* FAR */
    free(first);
    free(second);
#endif
#ifdef STALE
    char *stale = malloc(16);
    free(stale);
    char *other = malloc(16);
    for (int i = 0; i < 16; i++) ((volatile char *)other)[i] = 'x';
    if (*(volatile char *)stale == 'x') seen++; /* STALE */
    free(other);
#endif
#ifdef MANY
    for (int i = 0; i < MANY; i++) free(malloc(100000));
#endif
#ifdef PARTLY
    char *partly = malloc(8);
    partly[0] = 1;
    partly = realloc(partly, 4000);
    if (partly[PARTLY]) seen++; /* PARTLY */
    free(partly);
#endif
    return 0;
}
