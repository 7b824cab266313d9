/* The board's peripherals in Unicorn, which maps whole pages of registers. An access to an address between peripherals
 * stops the engine before the instruction retires.
 *
 * The hook on blocks has counted a whole block before an access in it. A peripheral that counts instructions needs the
 * count at the very instruction: the engine stops, and starts a new block there. Unicorn cannot stop inside an IT block,
 * so accesses of a block of code with one see the count at the block's end. */
#include "exception_parts.h"

#include <stdlib.h>

/* ---- time ---- */

static uint64_t now(void *context)
{
    const struct probe *probe = context;
    return time_now(probe) - (probe->is_exact ? probe->blocks[probe->current_block].instructions : 0);
}

static bool has_it_block(const struct probe *probe, const struct block *block)
{
    for (uint32_t at = block->address; at < block->address + block->size;) {
        uint8_t code[2] = {0};
        if (probe->api.mem_read(probe->engine, at, code, sizeof code) != UC_ERR_OK)
            return true;
        if (code[1] == 0xbf && (code[0] & 0xf) != 0)
            return true;
        at += code[1] >> 3 >= 0x1d ? 4 : 2;
    }
    return false;
}

/* Whether the time of an access to the peripheral is known, or need not be; if not, the engine stops. */
static bool begin_access(struct probe *probe, uc_engine *uc, const struct peripheral *peripheral)
{
    if (peripheral->counter_count == 0 || probe->current_block == 0)
        return true;
    const struct block *block = &probe->blocks[probe->current_block];
    if (has_it_block(probe, block))
        return true;
    if (block->address != probe->exact_at || probe->exact_left == 0) {
        stop(probe, uc, STOP_EXACT);
        return false;
    }
    probe->exact_left--;
    probe->is_exact = 1;
    return true;
}

/* The engine has stopped at pc for an exact access. An instruction that loads or stores several words may stop it for
 * each of them: all its accesses so far are exact when it runs again. */
void begin_exact_access(struct probe *probe, uc_engine *uc, uint32_t pc)
{
    bool again = pc == probe->exact_at && probe->block_serial == probe->exact_serial + 1;
    uint32_t accesses = again ? probe->exact_accesses + 1 : 1;
    bool cut = probe_cut_block(probe, uc, pc);
    probe->exact_at = pc;
    probe->exact_accesses = probe->exact_left = accesses;
    probe->exact_serial = probe->block_serial;
    probe->stop_reason = cut ? STOP_RESTART : STOP_OUT_OF_MEMORY;
}

/* ---- memory, for DMA ---- */

static bool load(void *context, uint32_t address, void *data, uint32_t bytes)
{
    const struct probe *probe = context;
    return range_holds(probe->exceptions, address, bytes, false) &&
           probe->api.mem_read(probe->engine, address, data, bytes) == UC_ERR_OK;
}

static bool store(void *context, uint32_t address, const void *data, uint32_t bytes)
{
    const struct probe *probe = context;
    if (!range_holds(probe->exceptions, address, bytes, true) ||
        probe->api.mem_write(probe->engine, address, data, bytes) != UC_ERR_OK)
        return false;
    if (probe->shadow != NULL)
        shadow_stored(probe->shadow, address, bytes);
    return true;
}

/* ---- accesses ---- */

/* A page of registers. */
struct page {
    struct probe *probe;
    uint32_t start;
};

static void refuse(struct probe *probe, uc_engine *uc, uint32_t address, unsigned size, bool write)
{
    if (probe->refused_size == 0) { /* an unaligned access comes in pieces */
        probe->refused_address = address;
        probe->refused_size = size;
        probe->refused_write = write;
    }
    probe->api.emu_stop(uc);
}

uint64_t peripherals_read(uc_engine *uc, uint64_t offset, unsigned size, void *user_data)
{
    const struct page *page = user_data;
    struct probe *probe = page->probe;
    uint32_t address = page->start + (uint32_t)offset;
    struct peripheral *peripheral = peripheral_at(&probe->peripherals, address, size);
    if (peripheral == NULL)
        refuse(probe, uc, address, size, false);
    if (peripheral == NULL || !begin_access(probe, uc, peripheral))
        return 0;
    uint32_t value = read_registers(peripheral, address - peripheral->start, size);
    probe->is_exact = 0;
    return value;
}

void peripherals_write(uc_engine *uc, uint64_t offset, unsigned size, uint64_t value, void *user_data)
{
    const struct page *page = user_data;
    struct probe *probe = page->probe;
    uint32_t address = page->start + (uint32_t)offset;
    struct peripheral *peripheral = peripheral_at(&probe->peripherals, address, size);
    if (peripheral == NULL)
        refuse(probe, uc, address, size, true);
    if (peripheral == NULL || !begin_access(probe, uc, peripheral))
        return;
    write_registers(peripheral, address - peripheral->start, size, (uint32_t)value);
    probe->is_exact = 0;
}

/* ---- from reset to the end of the run ---- */

/* Must run before the first line of the description. */
void peripherals_start(struct probe *probe, uc_engine *uc, struct output *output, struct poll *poll)
{
    probe->engine = uc;
    probe->peripherals = (struct peripherals){
        .output = output, .poll = poll, .instructions = &probe->instructions,
        .context = probe, .now = now, .load = load, .store = store};
}

bool peripherals_describe(struct probe *probe, const char *line)
{
    return describe_peripheral(&probe->peripherals, line);
}

void peripherals_release(struct probe *probe) { release_peripherals(&probe->peripherals); }
