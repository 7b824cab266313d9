/* A setting that was never changed still points to its static default, and is freed like the other settings. */
#include <stdlib.h>
#include <string.h>

static char default_host[] = "gateway.local";

struct settings {
    char *host;
    unsigned port;
};

static struct settings settings = {default_host, 1883};
static volatile size_t length;

__attribute__((noipa)) static void set_host(struct settings *to, const char *host)
{
    char *copy = malloc(strlen(host) + 1);
    if (copy == NULL) return;
    strcpy(copy, host);
#ifndef FAULT
    if (to->host != default_host)
#endif
        free(to->host); /* FAULT: invalid_free */
    to->host = copy;
}

int main(void)
{
    set_host(&settings, "10.0.0.7");
#ifndef FAULT
    set_host(&settings, "10.0.0.8");
#endif
    length = strlen(settings.host);
    return 0;
}
