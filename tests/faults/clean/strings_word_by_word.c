/* The library reads strings a word at a time: up to three bytes past a string that ends its heap block. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static volatile uint32_t lengths, equal;

__attribute__((noipa)) static char *duplicate(const char *text, size_t length)
{
    char *copy = malloc(length + 1);
    if (copy == NULL) abort();
    memcpy(copy, text, length);
    copy[length] = 0;
    return copy;
}

__attribute__((noipa)) static void compare(char *left, char *right, size_t length)
{
    char local[40];
    lengths += strlen(left) + strnlen(right, length + 1);
    if (strcmp(left, right) == 0) equal++;
    if (strncmp(left, right, length + 1) == 0) equal++;
    if (memcmp(left, right, length) == 0) equal++;
    if (memchr(left, 0, length + 1) == left + length) equal++;
    if (strchr(left, 'z') == NULL) equal++;
    if (strrchr(left, 0) == left + length) equal++;
    strcpy(local, left);
    strcat(local, "!");
    if (strstr(local, right) == local) equal++;
    if (strlen(local) == length + 1) equal++;
}

int main(void)
{
    static const char text[] = "abcdefghijklmnopqrstuvwxy";
    for (size_t length = 0; length < 21; length++) {
        char *left = duplicate(text, length), *right = duplicate(text, length);
        compare(left, right, length);
        free(left);
        free(right);
    }
    return equal == 21 * 8 ? 0 : 1;
}
