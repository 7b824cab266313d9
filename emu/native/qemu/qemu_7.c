/* QEMU 7.2, whose plugin API is version 1.
 *
 * What this API lacks comes from QEMU's table of the functions that translated code calls (TCGHelperInfo in
 * include/tcg/tcg.h of 7.2). Debian's QEMU exports neither the table nor the functions.
 */
#define _GNU_SOURCE
#include <link.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "parts.h"

const void *qemu_plugin_insn_data(const struct qemu_plugin_insn *insn);

struct helper_information { /* TCGHelperInfo: a function that translated code calls */
    void *function;
    const char *name;
    unsigned flags, types;
};
enum { CALL_READS_NO_GLOBALS = 1 << 0, CALL_WRITES_NO_GLOBALS = 1 << 1 };

struct search {
    const void *sought; /* a text, or a pointer */
    size_t bytes;
    uint32_t wanted, unwanted; /* flags of the segments to look in */
    uint8_t *found;
    int times;
};

/* Looks for bytes in the segments of QEMU itself, the first loaded object. */
static int search_object(struct dl_phdr_info *object, size_t size, void *data)
{
    (void)size;
    struct search *search = data;
    for (int i = 0; i < object->dlpi_phnum; i++) {
        const ElfW(Phdr) *segment = &object->dlpi_phdr[i];
        if (segment->p_type != PT_LOAD || !(segment->p_flags & search->wanted)) continue;
        if (segment->p_flags & search->unwanted) continue;
        uint8_t *at = (uint8_t *)(uintptr_t)(object->dlpi_addr + segment->p_vaddr);
        const uint8_t *end = at + segment->p_filesz;
        while ((at = memmem(at, (size_t)(end - at), search->sought, search->bytes)) != NULL) {
            search->found = at++;
            search->times++;
        }
    }
    return 1;
}

static uint8_t *find_once(const void *sought, size_t bytes, uint32_t wanted, uint32_t unwanted)
{
    struct search search = {sought, bytes, wanted, unwanted, NULL, 0};
    dl_iterate_phdr(search_object, &search);
    return search.times == 1 ? search.found : NULL;
}

/* Finds a function that translated code calls, in the table of them. */
static struct helper_information *find_information(const char *name)
{
    char sought[64] = ""; /* starts with the terminator of the string before it */
    const size_t length = strlen(name);
    memcpy(sought + 1, name, length + 1);
    const char *text = (const char *)find_once(sought, length + 2, PF_R, PF_W | PF_X);
    if (text++ == NULL) refuse("this QEMU has no %s as that of 7.2", name);
    uint8_t *place = find_once(&text, sizeof text, PF_W, 0);
    if (place == NULL) refuse("this QEMU has no table of helpers as that of 7.2");
    return (struct helper_information *)(void *)(place - offsetof(struct helper_information, name));
}

static void *find_helper(const char *name) { return find_information(name)->function; }

/* Makes QEMU write the registers to the core's state before it calls back for an instruction.
 *
 * QEMU 7.2 assumes that plugins' callbacks read no register, despite QEMU_PLUGIN_CB_R_REGS: inside a block, SP's value
 * may still be in a register of the host. The flag for this is in the table of helpers.
 */
static void let_callbacks_read_registers(void)
{
    struct helper_information *helper = find_information("plugin_vcpu_udata_cb");
    if (helper->flags != CALL_READS_NO_GLOBALS) refuse("QEMU's callbacks have flags %#x", helper->flags);
    const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), start = (uintptr_t)helper & ~(page - 1);
    const size_t bytes = (uintptr_t)(helper + 1) - start;
    if (mprotect((void *)start, bytes, PROT_READ | PROT_WRITE) != 0) refuse("QEMU's table of helpers is locked");
    helper->flags = CALL_WRITES_NO_GLOBALS;
}

static const uint8_t *first_bytes(const struct qemu_plugin_insn *insn, uint8_t room[FIRST_BYTES])
{
    (void)room;
    return qemu_plugin_insn_data(insn);
}

const struct generation qemu_7 = {
    .api = 1,
    .prepare = let_callbacks_read_registers,
    .find_helper = find_helper,
    .first_bytes = first_bytes,
};
