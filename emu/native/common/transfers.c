/* Transfers of a DMA controller. */
#include "peripherals.h"

#include <stddef.h>

enum { LARGEST_SIZE = 2 /* 4 bytes */ };

static bool load(struct peripheral *controller, uint32_t address, uint32_t bytes, uint32_t *item)
{
    struct peripherals *all = controller->all;
    struct peripheral *other = peripheral_at(all, address, bytes);
    if (other == NULL) return all->load(all->context, address, item, bytes);
    *item = read_registers(other, address - other->start, bytes);
    return true;
}

static bool store(struct peripheral *controller, uint32_t address, uint32_t bytes, uint32_t item)
{
    struct peripherals *all = controller->all;
    struct peripheral *other = peripheral_at(all, address, bytes);
    if (other == NULL) return all->store(all->context, address, &item, bytes);
    if (other->channel_count != 0) return false; /* a controller that writes to a controller may never end */
    write_registers(other, address - other->start, bytes, item);
    return true;
}

void transfer(struct peripheral *peripheral, const struct channel *channel)
{
    const bool from_memory = field_value(peripheral, channel->from_memory) != 0;
    if (!from_memory && field_value(peripheral, channel->between_memories) == 0)
        return; /* no peripheral here has data to give */
    const uint32_t size = field_value(peripheral, channel->size);
    const uint32_t bytes = 1u << (size < LARGEST_SIZE ? size : LARGEST_SIZE);
    const uint32_t peripheral_step = field_value(peripheral, channel->peripheral_steps) != 0 ? bytes : 0;
    const uint32_t memory_step = field_value(peripheral, channel->memory_steps) != 0 ? bytes : 0;
    uint32_t of_peripheral = field_value(peripheral, channel->peripheral);
    uint32_t of_memory = field_value(peripheral, channel->memory);
    for (uint32_t left = field_value(peripheral, channel->count); left > 0; left--) {
        uint32_t item = 0;
        if (!load(peripheral, from_memory ? of_memory : of_peripheral, bytes, &item) ||
            !store(peripheral, from_memory ? of_peripheral : of_memory, bytes, item))
            return; /* the channel stays as it is: the firmware waits for its end */
        of_peripheral += peripheral_step;
        of_memory += memory_step;
    }
    set_field(peripheral, channel->done, UINT32_MAX);
    if (field_value(peripheral, channel->circular) != 0) return;
    set_field(peripheral, channel->count, 0);
    set_field(peripheral, channel->enable, 0);
}
