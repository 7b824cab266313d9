/* The state of the plugin, and how a part gives up. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "parts.h"

struct plugin plugin;

void refuse(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fputs("emu plugin: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    exit(1);
}

void *allocate(size_t bytes)
{
    void *memory = calloc(1, bytes);
    if (memory == NULL) refuse("no memory left");
    return memory;
}
