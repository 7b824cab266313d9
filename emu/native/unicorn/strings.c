/* The C library's string functions. They load whole words, and branch on bytes that do not matter in the end. So their
 * arguments are checked at the call: each byte that the function is specified to read. Inside the function an access is
 * reported only if no aligned word explains it. */
#include "shadow_parts.h"

#define CHUNK 256u
#define LONGEST 0x100000u /* bytes: a longer string would leave any memory */

struct reading {
    int first, second, limit, character; /* argument numbers; -1 if there is none */
    bool ends_at_zero, ends_at_difference;
};

static uint32_t argument(struct probe *probe, uc_engine *uc, int number)
{
    return read_register(probe, uc, UC_ARM_REG_R0 + number);
}

/* A string at address; bytes holds count of its bytes, from index first on. */
struct string {
    uint32_t address, first, count;
    uint8_t bytes[CHUNK];
};

/* Fetch the bytes from address + index on; false if there are none. */
static bool fetch(struct probe *probe, uc_engine *uc, const struct shadow_memory *memory, struct string *string,
                  uint32_t index)
{
    uint32_t address = string->address + index, left = memory->size - (address - memory->start);
    string->first = index;
    string->count = left < CHUNK ? left : CHUNK;
    return probe->api.mem_read(uc, address, string->bytes, string->count) == UC_ERR_OK;
}

/* Read the byte with that index; false if that is an error, which this reports. */
static bool read_byte(struct probe *probe, uc_engine *uc, struct instruction *call, uint32_t pc, struct string *string,
                      uint32_t index, uint8_t *byte)
{
    uint32_t address = string->address + index;
    struct shadow_memory *memory = memory_at(probe->shadow, address);
    if (memory == NULL)
        return false; /* the function itself will fault */
    uint32_t offset = address - memory->start, state = memory->state[offset];
    struct place place = {ACCESS_LOAD, address, 1, state};
    if (!is_open(probe, memory, offset, ACCESS_LOAD, false)) {
        probe->shadow->string_reported = 1;
        report(probe, uc, call, pc, FINDING_ACCESS, 0, place);
        return false;
    }
    if (memory->undefined != NULL && memory->undefined[offset] != 0) {
        uint32_t origin = memory->origin[offset / 4];
        if (origin == 0)
            origin = origin_here(probe, uc, call, pc, address);
        probe->shadow->string_reported = 1;
        report(probe, uc, call, pc, FINDING_UNINITIALISED_BRANCH, origin, (struct place){ACCESS_NONE, 0, 0, 0});
        return false;
    }
    if (index - string->first >= string->count && !fetch(probe, uc, memory, string, index))
        return false;
    *byte = string->bytes[index - string->first];
    return true;
}

static void check_reading(struct probe *probe, uc_engine *uc, struct instruction *call, uint32_t pc,
                          const struct reading *reading)
{
    struct string first = {.address = argument(probe, uc, reading->first)};
    struct string second = {.address = reading->second >= 0 ? argument(probe, uc, reading->second) : 0};
    uint32_t limit = reading->limit >= 0 ? argument(probe, uc, reading->limit) : LONGEST;
    uint8_t character = reading->character >= 0 ? (uint8_t)argument(probe, uc, reading->character) : 0;
    for (uint32_t i = 0; i < limit && i < LONGEST; i++) {
        uint8_t one, other = 0;
        if (!read_byte(probe, uc, call, pc, &first, i, &one) ||
            (reading->second >= 0 && !read_byte(probe, uc, call, pc, &second, i, &other)))
            return;
        if ((reading->ends_at_zero && one == 0) || (reading->ends_at_difference && one != other) ||
            (reading->character >= 0 && one == character))
            return;
    }
}

void check_string_function(struct probe *probe, uc_engine *uc, struct instruction *call, uint32_t pc,
                           enum string_function function)
{
    static const struct reading readings[] = {
        [STRING_LENGTH] = {.first = 0, .second = -1, .limit = -1, .character = -1, .ends_at_zero = true},
        [STRING_LENGTH_LIMITED] = {.first = 0, .second = -1, .limit = 1, .character = -1, .ends_at_zero = true},
        [STRING_COPY] = {.first = 1, .second = -1, .limit = -1, .character = -1, .ends_at_zero = true},
        [STRING_COPY_LIMITED] = {.first = 1, .second = -1, .limit = 2, .character = -1, .ends_at_zero = true},
        [STRING_COMPARE] = {.first = 0, .second = 1, .limit = -1, .character = -1, .ends_at_zero = true,
                            .ends_at_difference = true},
        [STRING_COMPARE_LIMITED] = {.first = 0, .second = 1, .limit = 2, .character = -1, .ends_at_zero = true,
                                    .ends_at_difference = true},
        [STRING_FIND] = {.first = 0, .second = -1, .limit = -1, .character = 1, .ends_at_zero = true},
        [MEMORY_FIND] = {.first = 0, .second = -1, .limit = 2, .character = 1},
        [MEMORY_COMPARE] = {.first = 0, .second = 1, .limit = 2, .character = -1, .ends_at_difference = true},
    };
    probe->shadow->string_reported = 0;
    if (function == STRING_APPEND || function == STRING_APPEND_LIMITED) {
        check_reading(probe, uc, call, pc, &readings[STRING_LENGTH]);
        function = function == STRING_APPEND ? STRING_COPY : STRING_COPY_LIMITED;
    }
    check_reading(probe, uc, call, pc, &readings[function]);
}

/* Compilers copy a struct to itself with memcpy, so one place for both is no finding. */
void check_copy(struct probe *probe, uc_engine *uc, struct instruction *call, uint32_t pc)
{
    uint32_t to = argument(probe, uc, 0), from = argument(probe, uc, 1), bytes = argument(probe, uc, 2);
    bool overlap = to - from < bytes || from - to < bytes;
    if (to != from && overlap && running(probe)->heap_call.return_address == 0)
        report(probe, uc, call, pc, FINDING_OVERLAP, 0, (struct place){ACCESS_NONE, to, bytes, 0});
}
