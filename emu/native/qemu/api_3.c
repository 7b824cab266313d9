/* QEMU 9.1 to 10, whose plugin API is version 3 or newer. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

#include "parts.h"

size_t qemu_plugin_insn_data(const struct qemu_plugin_insn *insn, void *into, size_t bytes);

static void *find_helper(const char *name)
{
    char exported[64];
    snprintf(exported, sizeof exported, "helper_%s", name);
    void *function = dlsym(RTLD_DEFAULT, exported);
    if (function == NULL) refuse("this QEMU does not export %s", exported);
    return function;
}

static const uint8_t *first_bytes(const struct qemu_plugin_insn *insn, uint8_t room[FIRST_BYTES])
{
    memset(room, 0, FIRST_BYTES);
    qemu_plugin_insn_data(insn, room, FIRST_BYTES);
    return room;
}

const struct api api_3 = {
    .version = 3,
    .find_helper = find_helper,
    .first_bytes = first_bytes,
    .starts_late = true,
};
