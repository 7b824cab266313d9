/* One of a pixel's colours indexes the gamma table before it is set. */
#include <stdint.h>

struct pixel {
    uint8_t red, green, blue;
};

static volatile uint8_t gamma_table[256];
static volatile uint8_t duty[3];

__attribute__((noipa)) static void set_colour(struct pixel *pixel, uint32_t rgb)
{
    pixel->red = (uint8_t)(rgb >> 16);
    pixel->green = (uint8_t)(rgb >> 8);
#ifndef FAULT
    pixel->blue = (uint8_t)rgb;
#endif
}

__attribute__((noipa)) static uint8_t corrected(const uint8_t *colour)
{
    uint8_t index = *colour;
    __asm__ volatile("" : "+r"(index));
    uint8_t value = gamma_table[index]; /* FAULT: uninitialised_address */
    return value;
}

__attribute__((noipa)) static void show(const struct pixel *pixel)
{
    duty[0] = corrected(&pixel->red);
    duty[1] = corrected(&pixel->green);
    duty[2] = corrected(&pixel->blue);
}

int main(void)
{
    struct pixel pixel;
    for (uint32_t i = 0; i < 256; i++) gamma_table[i] = (uint8_t)(i * i / 255);
    set_colour(&pixel, 0x80ff20);
    show(&pixel);
    return 0;
}
