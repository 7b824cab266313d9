#include "peripherals.h"

#include <stdlib.h>
#include <string.h>

enum { ADDRESS_BYTES = 4, SPARE = 8 /* a word may begin at the last byte */, MOST_NUMBERS = 40 };

/* ---- contents ---- */

static uint32_t word_at(const struct peripheral *peripheral, uint32_t offset)
{
    uint32_t word;
    memcpy(&word, peripheral->contents + offset, sizeof word);
    return word;
}

uint32_t field_value(const struct peripheral *peripheral, struct field field)
{
    return field.mask == 0 ? 0 : word_at(peripheral, field.offset) >> field.shift & field.mask;
}

void set_field(struct peripheral *peripheral, struct field field, uint32_t value)
{
    if (field.mask == 0) return;
    uint32_t word = word_at(peripheral, field.offset) & ~(field.mask << field.shift);
    word |= (value & field.mask) << field.shift;
    memcpy(peripheral->contents + field.offset, &word, sizeof word);
}

/* Whether an access touches the field. */
static bool touches(struct field field, uint32_t offset, uint32_t bytes)
{
    return field.mask != 0 && offset < field.offset + ADDRESS_BYTES && field.offset < offset + bytes;
}

/* ---- counters ---- */

static void advance(struct peripheral *peripheral, struct counter *counter)
{
    const uint64_t now = peripheral->all->now(peripheral->all->context);
    const uint64_t step = (uint64_t)field_value(peripheral, counter->prescaler) + 1;
    if (field_value(peripheral, counter->enable) == 0) {
        counter->since = now;
        return;
    }
    const uint64_t steps = (now - counter->since) / step;
    counter->since += steps * step;
    const uint32_t reload = field_value(peripheral, counter->reload);
    const uint64_t period = (uint64_t)(reload != 0 ? reload : counter->value.mask) + 1;
    const uint64_t value = field_value(peripheral, counter->value) + steps;
    if (value >= period) set_field(peripheral, counter->flag, 1);
    set_field(peripheral, counter->value, (uint32_t)(value % period));
}

static void advance_all(struct peripheral *peripheral)
{
    for (uint32_t i = 0; i < peripheral->counter_count; i++) advance(peripheral, &peripheral->counters[i]);
}

/* ---- reads ---- */

static uint32_t next_random(struct peripherals *all)
{
    if (all->random == 0) all->random = 2463534242u;
    all->random ^= all->random << 13; /* xorshift: never 0, and the same in every run */
    all->random ^= all->random >> 17;
    return all->random ^= all->random << 5;
}

/* What a field reads as, if a rule says so. */
static bool rule_gives(struct peripheral *peripheral, const struct rule *rule, uint32_t *value)
{
    switch (rule->kind) {
    case CONSTANT: *value = rule->value; return true;
    case FOLLOWS: *value = field_value(peripheral, rule->from); return true;
    case RANDOM: *value = next_random(peripheral->all); return true;
    default: return false;
    }
}

/* The bits of `value`, which are those of the word at `at`, as bits of the word at `offset`. */
static uint32_t moved(uint32_t value, uint32_t at, uint32_t offset)
{
    return at >= offset ? value << 8 * (at - offset) : value >> 8 * (offset - at);
}

static void note_read(const struct peripherals *all, uint32_t address, uint32_t value)
{
    struct poll *poll = all->poll;
    if (poll->address != address || poll->value != value)
        *poll = (struct poll){.address = address, .value = value};
    poll->count++;
    poll->at = *all->instructions;
}

uint32_t read_registers(struct peripheral *peripheral, uint32_t offset, uint32_t bytes)
{
    advance_all(peripheral);
    uint32_t word = word_at(peripheral, offset);
    for (uint32_t i = 0; i < peripheral->rule_count; i++) {
        const struct rule *rule = &peripheral->rules[i];
        uint32_t value;
        if (!touches(rule->at, offset, bytes) || !rule_gives(peripheral, rule, &value)) continue;
        word &= ~moved(rule->at.mask << rule->at.shift, rule->at.offset, offset);
        word |= moved((value & rule->at.mask) << rule->at.shift, rule->at.offset, offset);
    }
    if (bytes < sizeof word) word &= (1u << 8 * bytes) - 1;
    note_read(peripheral->all, peripheral->start + offset, word);
    return word;
}

/* ---- writes ---- */

static void print(const struct peripheral *peripheral, uint8_t byte)
{
    struct output *output = peripheral->all->output;
    const uint64_t at = output->printed++ % OUTPUT_KEPT;
    output->bytes[at] = byte;
    output->sources[at] = (uint8_t)peripheral->number;
}

/* A value written at `offset`, as the rule leaves it: bits that act, or that a write can only clear, are not stored. */
static uint32_t act(struct peripheral *peripheral, const struct rule *rule, uint32_t offset, uint32_t bytes,
                    uint32_t value)
{
    const struct field at = rule->at, from = rule->from;
    const uint32_t all_written = bytes >= sizeof value ? UINT32_MAX : (1u << 8 * bytes) - 1;
    const uint32_t written = moved(all_written, offset, at.offset) >> at.shift & at.mask;
    const uint32_t ones = moved(value & all_written, offset, at.offset) >> at.shift & written;
    uint32_t left = 0;
    switch (rule->kind) {
    case ONES_SET: set_field(peripheral, from, field_value(peripheral, from) | ones); break;
    case ONES_CLEAR: set_field(peripheral, from, field_value(peripheral, from) & ~ones); break;
    case ZEROS_CLEAR: left = field_value(peripheral, at) & (ones | ~written); break;
    default: return value;
    }
    if (rule->kind != ZEROS_CLEAR && from.offset == at.offset && from.shift == at.shift)
        left = field_value(peripheral, at);
    return (value & ~moved(at.mask << at.shift, at.offset, offset)) | moved(left << at.shift, at.offset, offset);
}

void write_registers(struct peripheral *peripheral, uint32_t offset, uint32_t bytes, uint32_t value)
{
    const struct channel *channels = peripheral->channels;
    uint32_t disabled = 0; /* a bit for each channel */
    advance_all(peripheral);
    for (uint32_t i = 0; i < peripheral->channel_count; i++)
        disabled |= (uint32_t)(field_value(peripheral, channels[i].enable) == 0) << i;
    uint32_t stored = value;
    for (uint32_t i = 0; i < peripheral->rule_count; i++) {
        const struct rule *rule = &peripheral->rules[i];
        if (!touches(rule->at, offset, bytes)) continue;
        if (rule->kind == PRINTS && rule->at.offset == offset) print(peripheral, (uint8_t)value);
        stored = act(peripheral, rule, offset, bytes, stored);
    }
    memcpy(peripheral->contents + offset, &stored, bytes);
    for (uint32_t i = 0; i < peripheral->counter_count; i++) {
        const struct counter *counter = &peripheral->counters[i];
        if (field_value(peripheral, counter->restart) == 0) continue;
        set_field(peripheral, counter->restart, 0);
        set_field(peripheral, counter->value, 0);
        set_field(peripheral, counter->flag, 1);
    }
    for (uint32_t i = 0; i < peripheral->channel_count; i++)
        if (disabled >> i & 1 && field_value(peripheral, channels[i].enable) != 0) transfer(peripheral, &channels[i]);
}

/* ---- the description ---- */

static struct field next_field(const uint32_t **numbers)
{
    const struct field field = {(*numbers)[0], (*numbers)[1], (*numbers)[2]};
    *numbers += 3;
    return field;
}

/* One more element of `bytes` at the end of an array of `count`; NULL if there is no memory. */
static void *grow(void **array, uint32_t count, size_t bytes)
{
    void *longer = realloc(*array, (count + 1) * bytes);
    if (longer == NULL) return NULL;
    *array = longer;
    return memset((uint8_t *)longer + count * bytes, 0, bytes);
}

static bool add_peripheral(struct peripherals *all, const uint32_t *numbers)
{
    struct peripheral *added = calloc(1, sizeof *added);
    if (added == NULL) return false;
    added->contents = calloc(1, (size_t)numbers[1] + SPARE);
    added->all = all, added->start = numbers[0], added->size = numbers[1], added->number = numbers[2];
    if (all->last != NULL)
        all->last->next = added;
    else
        all->first = added;
    all->last = added;
    return added->contents != NULL;
}

static bool add_rule(struct peripheral *peripheral, const uint32_t *numbers)
{
    void *rules = peripheral->rules;
    struct rule *rule = grow(&rules, peripheral->rule_count, sizeof *rule);
    if (rule == NULL) return false;
    peripheral->rules = rules;
    peripheral->rule_count++;
    rule->kind = (enum rule_kind)*numbers++;
    rule->at = next_field(&numbers);
    rule->from = next_field(&numbers);
    rule->value = *numbers;
    return true;
}

static bool add_counter(struct peripheral *peripheral, const uint32_t *numbers)
{
    void *counters = peripheral->counters;
    struct counter *counter = grow(&counters, peripheral->counter_count, sizeof *counter);
    if (counter == NULL) return false;
    peripheral->counters = counters;
    peripheral->counter_count++;
    struct field *const fields[] = {&counter->value,     &counter->enable, &counter->reload,
                                    &counter->prescaler, &counter->flag,   &counter->restart};
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) *fields[i] = next_field(&numbers);
    return true;
}

static bool add_channel(struct peripheral *peripheral, const uint32_t *numbers)
{
    void *channels = peripheral->channels;
    struct channel *channel = grow(&channels, peripheral->channel_count, sizeof *channel);
    if (channel == NULL) return false;
    peripheral->channels = channels;
    peripheral->channel_count++;
    struct field *const fields[] = {
        &channel->enable,           &channel->count,            &channel->peripheral,   &channel->memory,
        &channel->from_memory,      &channel->between_memories, &channel->peripheral_steps,
        &channel->memory_steps,     &channel->size,             &channel->circular,     &channel->done,
    };
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) *fields[i] = next_field(&numbers);
    return true;
}

bool describe_peripheral(struct peripherals *all, const char *line)
{
    uint32_t numbers[MOST_NUMBERS] = {0};
    const size_t length = strcspn(line, " ");
    const char *at = line + length;
    for (int i = 0; i < MOST_NUMBERS; i++) {
        char *end;
        numbers[i] = (uint32_t)strtoul(at, &end, 16);
        if (end == at) break;
        at = end;
    }
    struct peripheral *last = all->last;
    if (!strncmp(line, "peripheral ", length + 1)) return add_peripheral(all, numbers);
    if (last == NULL) return false;
    if (!strncmp(line, "reset ", length + 1)) {
        memcpy(last->contents + numbers[0], &numbers[1], sizeof *numbers);
        return true;
    }
    if (!strncmp(line, "rule ", length + 1)) return add_rule(last, numbers);
    if (!strncmp(line, "counter ", length + 1)) return add_counter(last, numbers);
    if (!strncmp(line, "channel ", length + 1)) return add_channel(last, numbers);
    return false;
}

struct peripheral *peripheral_at(const struct peripherals *all, uint32_t address, uint32_t bytes)
{
    for (struct peripheral *each = all->first; each != NULL; each = each->next)
        if (address >= each->start && address - each->start < each->size &&
            address - each->start + bytes <= each->size)
            return each;
    return NULL;
}

void release_peripherals(struct peripherals *all)
{
    for (struct peripheral *each = all->first, *next; each != NULL; each = next) {
        next = each->next;
        free(each->contents);
        free(each->rules);
        free(each->counters);
        free(each->channels);
        free(each);
    }
    all->first = all->last = NULL;
}
