/* QEMU 9.1 to 10, whose plugin API is version 3 or newer. */
#include <string.h>

#include "parts.h"

size_t qemu_plugin_insn_data(const struct qemu_plugin_insn *insn, void *into, size_t bytes);

static const uint8_t *first_bytes(const struct qemu_plugin_insn *insn, uint8_t room[FIRST_BYTES])
{
    memset(room, 0, FIRST_BYTES);
    qemu_plugin_insn_data(insn, room, FIRST_BYTES);
    return room;
}

const struct generation qemu_10 = {
    .api = 3,
    .find_helper = exported_helper,
    .first_bytes = first_bytes,
    .starts_late = true,
};
