/* A program asks the allocator for statistics of the heap; the allocator reads its own bookkeeping. */
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

static volatile size_t used;

int main(void)
{
    char *block = malloc(13);
    memset(block, 0, 13);
    used = malloc_usable_size(block);
    used += mallinfo().uordblks;
    free(block);
    malloc_trim(0);
    return 0;
}
