/* A command is changed to upper case in place; the command is a string literal. */
#include <string.h>

#ifdef FAULT
static char *command = "at+gmr";
#else
static char command[] = "at+gmr";
#endif
static volatile size_t length;

__attribute__((noipa)) static void to_upper(char *text)
{
    for (volatile char *at = text; *at; at++) {
        char letter = *at;
        if (letter >= 'a' && letter <= 'z')
            *at = (char)(letter - 'a' + 'A'); /* FAULT: write_to_read_only */
    }
}

int main(void)
{
    to_upper(command);
    length = strlen(command);
    return 0;
}
