/* A text of five bytes gets a sixth: it lies between the last variable and the end of its section. */
#include <stdint.h>

static volatile char text[5] = {'a', 'b', 'c', 'd', 'e'}; /* alone in .data, which ends at a multiple of four */
#ifdef FAULT
static const volatile uint32_t length = 5;
#else
static const volatile uint32_t length = 4;
#endif

__attribute__((noipa)) static void terminate(uint32_t at)
{
    text[at] = 0; /* FAULT: write_outside_objects */
}

int main(void)
{
    terminate(length);
    return 0;
}
