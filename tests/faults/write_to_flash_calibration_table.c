/* The default calibration is const, in flash; a cast lets the trim routine write to it as if it were in RAM. */
#include <stdint.h>

struct calibration {
    int16_t offset[4];
    uint16_t gain;
};

static const struct calibration factory = {{-3, 12, 0, 7}, 4096};
static struct calibration user;
#ifdef FAULT
static const struct calibration *volatile active = &factory;
#else
static const struct calibration *volatile active = &user;
#endif

__attribute__((noipa)) static void trim(struct calibration *calibration, int channel, int16_t error)
{
    volatile int16_t *offset = &calibration->offset[channel];
    int16_t value = (int16_t)(*offset - error);
    *offset = value; /* FAULT: write_to_read_only */
}

int main(void)
{
    user = factory;
    trim((struct calibration *)active, 1, 5);
    return 0;
}
