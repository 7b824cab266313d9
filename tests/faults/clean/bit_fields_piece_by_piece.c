/* Bit-fields of a local are set one after the other: each step reads a word that is still partly uninitialised. */
#include <stdint.h>

struct control {
    uint32_t enable : 1;
    uint32_t mode : 3;
    uint32_t prescaler : 12;
    uint32_t reload : 9;
    uint32_t polarity : 1; /* the last six bits never get a value */
};

static volatile uint32_t ticks, inverted;

__attribute__((noipa)) static void set_up(struct control *control, uint32_t prescaler)
{
    control->mode = 5;
    control->enable = 1;
    control->prescaler = prescaler & 0xfff;
    control->polarity = 1;
    control->reload = 300;
}

__attribute__((noipa)) static void use(const struct control *control)
{
    if (control->enable && control->mode == 5) ticks += control->prescaler;
    if (control->reload > 255) ticks++;
    if (control->polarity) inverted++;
}

int main(void)
{
    struct control control;
    set_up(&control, 1000);
    use(&control);
    control.prescaler++;
    use(&control);
    return 0;
}
