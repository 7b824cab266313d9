/* As many blocks as the heap holds; main returns 0 if it holds 20 of them, because `malloc` then says no. */
#include <stdlib.h>

static char *end;

void *_sbrk(int bytes)
{
    extern char _heap_start[];
    if (end == NULL) end = _heap_start;
    if (end + bytes > _heap_start + 20 * 1008) return (void *)-1;
    end += bytes;
    return end - bytes;
}

static void *blocks[40];

int main(void)
{
    int count = 0;
    while (count < 40 && (blocks[count] = malloc(1000)) != NULL) count++;
    blocks[0] = realloc(blocks[0], 5000); /* no room */
    return count == 20 && blocks[0] == NULL ? 0 : 1;
}
