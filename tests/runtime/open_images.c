/* open_images FILE: exercise the images of a file, each preceded by its length and by the misalignment of its copy
 * (uint32 each), and print a line for each: status, whether it ran, the sum of its logits. */
#include "exercise.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int main(int count, char **arguments)
{
    if (count != 2) return 2;
    size_t bytes;
    uint8_t *content = read_file(arguments[1], &bytes);
    setvbuf(stdout, NULL, _IOLBF, 0); /* after a crash, the lines show which image it was */
    for (size_t at = 0; at < bytes;) {
        uint32_t prefix[2];
        memcpy(prefix, content + at, sizeof prefix);
        at += sizeof prefix;
        const exercised result = exercise(content + at, prefix[0], prefix[1]);
        printf("%d %d %.9g\n", (int)result.status, result.ran, result.sum);
        at += prefix[0];
    }
    free(content);
    return 0;
}
