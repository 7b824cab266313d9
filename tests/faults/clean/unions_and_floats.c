/* A union: the short member is written, the long one copied, the short one read. Also floats that are not a number. */
#include <math.h>
#include <stdint.h>
#include <string.h>

struct variant {
    uint8_t kind;
    union {
        uint8_t byte;
        uint32_t word;
        float number;
        double wide;
        uint8_t text[16];
    } as;
};

static volatile float mean;
static volatile uint32_t missing, bytes;

__attribute__((noipa)) static struct variant from_byte(uint8_t byte)
{
    struct variant variant;
    variant.kind = 1;
    variant.as.byte = byte;
    return variant;
}

__attribute__((noipa)) static void show(const struct variant *variant)
{
    if (variant->kind == 1 && variant->as.byte > 3) bytes += variant->as.byte;
}

__attribute__((noipa)) static float mean_of(const float *samples, int count)
{
    float sum = 0.0f;
    int used = 0;
    for (int i = 0; i < count; i++) {
        uint32_t bits;
        memcpy(&bits, &samples[i], sizeof bits);
        if (isnan(samples[i]) || (bits & 0x7f800000u) == 0x7f800000u) {
            missing++;
            continue;
        }
        sum += samples[i];
        used++;
    }
    return used ? sum / (float)used : NAN;
}

int main(void)
{
    static const float samples[6] = {1.0f, NAN, 2.5f, INFINITY, -0.0f, 3.0f};
    for (uint8_t i = 0; i < 8; i++) {
        struct variant variant = from_byte(i), copy = variant;
        show(&copy);
    }
    mean = mean_of(samples, 6);
    mean = mean_of(samples + 1, 1);
    return missing == 3 ? 0 : 1;
}
