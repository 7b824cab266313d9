/* alloca and arrays whose length is known at run time move the stack pointer in the middle of a function. */
#include <alloca.h>
#include <stdint.h>
#include <string.h>

static volatile uint32_t median_sum, bytes;

__attribute__((noipa)) static uint16_t median(const uint16_t *samples, unsigned count)
{
    uint16_t sorted[count];
    for (unsigned i = 0; i < count; i++) {
        unsigned at = i;
        for (; at > 0 && sorted[at - 1] > samples[i]; at--) sorted[at] = sorted[at - 1];
        sorted[at] = samples[i];
    }
    return sorted[count / 2];
}

__attribute__((noipa)) static uint32_t joined(const char *const *parts, unsigned count)
{
    char *path = alloca(1);
    path[0] = 0;
    for (unsigned i = 0; i < count; i++) {
        char *longer = alloca(strlen(path) + strlen(parts[i]) + 2);
        strcpy(longer, path);
        strcat(longer, "/");
        path = strcat(longer, parts[i]);
    }
    return strlen(path);
}

int main(void)
{
    static const uint16_t samples[] = {9, 1, 8, 2, 7, 3, 6, 4, 5, 0, 11};
    static const char *const parts[] = {"usr", "local", "share", "doc"};
    for (unsigned count = 1; count <= 11; count += 2) median_sum += median(samples, count);
    for (unsigned count = 0; count <= 4; count++) bytes += joined(parts, count);
    return median_sum == 9 + 8 + 7 + 6 + 5 + 5 ? 0 : 1;
}
