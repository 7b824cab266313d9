/* malloc(strlen(text)) leaves no room for the zero, but the copy writes the zero. */
#include <stdlib.h>
#include <string.h>

static const char topic[] = "sensors/attic/humidity/raw";
static char *volatile kept;

__attribute__((noipa)) static void copy_text(char *to, const char *from)
{
    volatile char *at = to;
    while ((*at++ = *from++) != 0) {} /* FAULT: heap_out_of_bounds_write */
}

__attribute__((noipa)) static char *duplicate(const char *text)
{
#ifdef FAULT
    char *copy = malloc(strlen(text));
#else
    char *copy = malloc(strlen(text) + 1);
#endif
    if (copy != NULL) copy_text(copy, text);
    return copy;
}

int main(void)
{
    kept = duplicate(topic);
    free(kept);
    return 0;
}
