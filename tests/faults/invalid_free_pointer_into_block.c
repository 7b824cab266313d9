/* The program frees the pointer that skipped the leading blanks, not the pointer from malloc. */
#include <stdlib.h>
#include <string.h>

static const char line[] = "   baud=115200";
static volatile size_t keys;

__attribute__((noipa)) static size_t key_length(const char *source)
{
    char *copy = malloc(strlen(source) + 1), *start = copy;
    size_t length = 0;
    if (copy == NULL) return 0;
    strcpy(copy, source);
    while (*start == ' ') start++;
    while (start[length] && start[length] != '=') length++;
#ifdef FAULT
    copy = start;
#endif
    free(copy); /* FAULT: invalid_free */
    return length;
}

int main(void)
{
    keys = key_length(line);
    return 0;
}
