/* Trailing blanks are cut without a check for the start of the text: a blank line is cut past its start. */
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
    length--; /* drops the line's end; a blank line has none */
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
