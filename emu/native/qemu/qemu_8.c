/* QEMU 8.2, whose plugin API is version 1.
 *
 * QEMU exports each function that translated code calls, and a TCGHelperInfo about this function.
 */
#include <string.h>

#include "parts.h"

const void *qemu_plugin_insn_data(const struct qemu_plugin_insn *insn);

struct helper_information { /* TCGHelperInfo, the beginning */
    void *function;
    const char *name;
    uintptr_t initialised;
    uint32_t types;
    uint8_t flags;
};
enum { CALL_READS_NO_GLOBALS = 1 << 0, CALL_WRITES_NO_GLOBALS = 1 << 1, CALL_OF_PLUGIN = 1 << 4 };

/* Makes QEMU write the registers to the core's state before it calls back: see qemu_7.c. */
static void let_callbacks_read_registers(void)
{
    struct helper_information *helper = exported("helper_info_plugin_vcpu_udata_cb");
    if (strcmp(helper->name, "plugin_vcpu_udata_cb") != 0 || helper->flags != (CALL_READS_NO_GLOBALS | CALL_OF_PLUGIN)) {
        refuse("QEMU's callbacks have flags %#x", helper->flags);
    }
    helper->flags = CALL_WRITES_NO_GLOBALS | CALL_OF_PLUGIN;
}

static const uint8_t *first_bytes(const struct qemu_plugin_insn *insn, uint8_t room[FIRST_BYTES])
{
    (void)room;
    return qemu_plugin_insn_data(insn);
}

const struct generation qemu_8 = {
    .api = 1,
    .prepare = let_callbacks_read_registers,
    .find_helper = exported_helper,
    .first_bytes = first_bytes,
};
