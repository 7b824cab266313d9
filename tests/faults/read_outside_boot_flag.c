/* The program reads a flag of the boot loader at a fixed address in RAM; this image does not reserve that address. */
#include <stdint.h>

struct boot_record {
    uint32_t magic, reason, count;
};

static struct boot_record own_record;
#ifdef FAULT
#define BOOT_RECORD ((const volatile struct boot_record *)0x38000000u)
#else
#define BOOT_RECORD ((const volatile struct boot_record *)&own_record)
#endif
static volatile uint32_t reset_reason;

__attribute__((noipa)) static uint32_t reason_in(const volatile struct boot_record *record)
{
    uint32_t value = record->reason; /* FAULT: read_outside_objects */
    return value;
}

__attribute__((noipa)) static void note_reset(void)
{
    own_record.magic = 0xb007b007u;
    own_record.count++;
    reset_reason = reason_in(BOOT_RECORD);
}

int main(void)
{
    note_reset();
    return 0;
}
