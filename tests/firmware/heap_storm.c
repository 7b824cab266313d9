/* Sixty thousand allocations of sixteen bytes, one at a time. */
#include <stdlib.h>

static void *volatile keep;

int main(void)
{
    for (int i = 0; i < 60000; i++) {
        keep = malloc(16);
        free(keep);
    }
    return 0;
}
