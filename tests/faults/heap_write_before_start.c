/* Trailing blanks are cut from the end on, without a look at where the text begins: a blank line has no end. */
#include <stdlib.h>
#include <string.h>

static char *volatile kept;

__attribute__((noipa)) static void end_at(char *text, int length)
{
    ((volatile char *)text)[length] = 0; /* FAULT: heap_out_of_bounds_write */
}

__attribute__((noipa)) static void trim(char *text)
{
    int length = (int)strlen(text);
    while (length > 0 && text[length - 1] == ' ') length--;
#ifdef FAULT
    length--; /* the line's end, which a blank line does not have */
#endif
    end_at(text, length);
}

int main(void)
{
    char *line = malloc(24);
    if (line == NULL) return 0;
    strcpy(line, "    ");
    trim(line);
    kept = line;
    free(line);
    return 0;
}
