/* Only one of two constructors sets the limit in a controller's state; the comparison reads the unset limit. */
#include <stdint.h>

struct controller {
    float gain, integral, limit;
};

static volatile float actuator;
static volatile uint32_t saturated;

__attribute__((noipa)) static void start_proportional(struct controller *controller, float gain)
{
    controller->gain = gain;
    controller->integral = 0.0f;
#ifndef FAULT
    controller->limit = 10.0f;
#endif
}

__attribute__((noipa)) static void note_saturation(void) { saturated++; }

__attribute__((noipa)) static void step(struct controller *controller, float error)
{
    controller->integral += error;
    actuator = controller->gain * controller->integral;
    if (controller->integral > controller->limit) /* FAULT: uninitialised_branch */
        note_saturation();
    __asm__ volatile("");
}

int main(void)
{
    struct controller controller;
    start_proportional(&controller, 0.5f);
    for (int i = 0; i < 8; i++) step(&controller, 1.5f);
    return 0;
}
