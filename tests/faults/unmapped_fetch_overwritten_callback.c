/* A name that is too long for its field overwrites the callback after the field, in the same structure. */
#include <stdint.h>

struct device {
    char name[8];
    void (*on_event)(uint32_t event);
};

static struct device device;
static volatile uint32_t seen;
#ifdef FAULT
static const char *const name = "AAAAAAAAAAAA";
#else
static const char *const name = "AAAAAAA";
#endif

__attribute__((noipa)) static void count_event(uint32_t event) { seen += event; }

__attribute__((noipa)) static void set_name(struct device *to, const char *text)
{
    volatile char *field = (volatile char *)to;
    while (*text) *field++ = *text++;
}

__attribute__((noipa)) static void dispatch(const struct device *to, uint32_t event)
{
    to->on_event(event); /* FAULT: unmapped_fetch */
    __asm__ volatile("" ::: "memory");
}

int main(void)
{
    device.on_event = count_event;
    set_name(&device, name);
    dispatch(&device, 3);
    return 0;
}
