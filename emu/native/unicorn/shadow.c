/* The memory checker: one hook on every instruction keeps the shadow of registers and memory up to date. */
#include "shadow_parts.h"

#include <stdlib.h>
#include <string.h>

#define STACK_BYTES_MAX 65536u

size_t shadow_size(void) { return sizeof(struct shadow); }

void shadow_release(struct shadow *shadow)
{
    for (uint32_t i = 0; i < shadow->finding_count; i++)
        free(shadow->findings[i].stack);
}

/* ---- memory ---- */

struct shadow_memory *memory_at(struct shadow *shadow, uint32_t address)
{
    struct shadow_memory *memory = &shadow->memories[shadow->recent];
    if (address - memory->start < memory->size)
        return memory;
    for (uint32_t i = 0; i < shadow->memory_count; i++) {
        memory = &shadow->memories[i];
        if (address - memory->start < memory->size) {
            shadow->recent = i;
            return memory;
        }
    }
    return NULL;
}

static void set_state(struct shadow *shadow, uint32_t address, uint32_t size, enum byte_state state)
{
    struct shadow_memory *memory = memory_at(shadow, address);
    if (memory != NULL && size <= memory->size - (address - memory->start))
        memset(memory->state + (address - memory->start), state, size);
}

/* These bytes have no value yet. */
static void set_undefined(struct shadow *shadow, uint32_t address, uint32_t size)
{
    struct shadow_memory *memory = memory_at(shadow, address);
    uint32_t offset = memory != NULL ? address - memory->start : 0;
    if (memory == NULL || memory->undefined == NULL || size == 0 || size > memory->size - offset)
        return;
    memset(memory->undefined + offset, 0xff, size);
    uint32_t first = (offset + 3) / 4, end = (offset + size + 3) / 4; /* a word that begins earlier keeps its origin */
    if (end > first)
        memset(memory->origin + first, 0, (end - first) * sizeof *memory->origin);
}

/* ---- findings ---- */

/* The number + 1 of an earlier finding of this undefined value, or 0: one mistake, one report. */
static uint32_t same_origin(const struct shadow *shadow, enum finding_kind kind, const struct origin *origin)
{
    for (uint32_t i = 0; i < shadow->finding_count && origin->pc != 0; i++) {
        const struct finding *finding = &shadow->findings[i];
        if (finding->kind == (uint32_t)kind && finding->origin.pc == origin->pc &&
            finding->origin.address == origin->address)
            return i + 1;
    }
    return 0;
}

void report(struct probe *probe, uc_engine *uc, struct instruction *at, uint32_t pc, enum finding_kind kind,
            uint32_t origin, struct place place)
{
    struct shadow *shadow = probe->shadow;
    if (at->string != STRING_NONE && kind == FINDING_UNINITIALISED_BRANCH)
        return; /* its arguments have been checked */
    uint32_t *known = &at->findings[(uint32_t)kind + (kind == FINDING_ACCESS ? place.state : 0)];
    if (*known == 0)
        *known = same_origin(shadow, kind, &shadow->origins[origin]);
    if (*known != 0) {
        shadow->findings[*known - 1].times++;
        shadow->findings[*known - 1].last_address = place.address;
        return;
    }
    if (shadow->finding_count == shadow->finding_capacity)
        return;
    struct finding *finding = &shadow->findings[shadow->finding_count++];
    *known = shadow->finding_count;
    *finding = (struct finding){.kind = kind, .pc = pc, .access = place.access, .address = place.address,
                                .size = place.size, .state = place.state, .times = 1, .last_address = place.address,
                                .origin = shadow->origins[origin]};
    for (int i = 0; i <= 12; i++)
        finding->registers[i] = read_register(probe, uc, UC_ARM_REG_R0 + i);
    uint32_t sp = finding->registers[13] = read_register(probe, uc, UC_ARM_REG_SP);
    finding->registers[14] = read_register(probe, uc, UC_ARM_REG_LR);
    finding->registers[15] = pc;
    finding->registers[16] = read_register(probe, uc, UC_ARM_REG_PSP);
    finding->thread = running_thread(probe);
    const struct shadow_memory *memory = memory_at(shadow, sp);
    uint32_t bytes = memory != NULL ? memory->size - (sp - memory->start) : 0;
    bytes = bytes < STACK_BYTES_MAX ? bytes : STACK_BYTES_MAX;
    finding->stack = bytes != 0 ? malloc(bytes) : NULL;
    if (finding->stack != NULL && probe->api.mem_read(uc, sp, finding->stack, bytes) == UC_ERR_OK)
        finding->stack_bytes = bytes;
    probe->pause_at = 0; /* Python describes the finding before the heap changes */
}

/* ---- the stack ---- */

/* Note the new SP of the current stack: bytes below it have no owner, and bytes that the stack has gained have no
 * value. */
static void move_stack_pointer(struct probe *probe, uint32_t sp)
{
    struct shadow *shadow = probe->shadow;
    struct shadow_stack *stack = &shadow->stacks[probe->current_stack];
    if (sp < stack->bottom || sp > stack->top || stack->bottom == stack->top)
        return; /* on another stack, or in an overflow, which other code finds */
    if (sp < stack->sp) {
        set_state(shadow, sp, stack->sp - sp, BYTE_ACCESSIBLE);
        set_undefined(shadow, sp, stack->sp - sp);
    } else if (sp > stack->sp) {
        set_state(shadow, stack->sp, sp - stack->sp, BYTE_BELOW_STACK);
    }
    stack->sp = sp;
}

#define SAVED_BYTES_MAX 256u /* more than all registers of a thread */

/* Whether code on another stack stores here, below the stack's SP: a kernel saves a thread's registers, or prepares the
 * stack for a new thread. The bytes are in use then; saved registers are until SP goes beyond them. */
static bool kernel_stores(struct probe *probe, uint32_t address, uint32_t size)
{
    struct shadow *shadow = probe->shadow;
    for (uint32_t i = 1; i < probe->stack_count; i++) {
        struct shadow_stack *stack = &shadow->stacks[i];
        if (i == probe->current_stack || address < stack->bottom || address >= stack->top)
            continue;
        set_state(shadow, address, size, BYTE_ACCESSIBLE);
        if (address < stack->sp && stack->sp - address <= SAVED_BYTES_MAX)
            stack->sp = address;
        return true;
    }
    return false;
}

/* ---- the heap ---- */

static uint32_t *block_size_at(struct shadow *shadow, uint32_t pointer)
{
    struct shadow_memory *memory = memory_at(shadow, pointer);
    return memory != NULL && memory->block_size != NULL ? &memory->block_size[(pointer - memory->start) / 4] : NULL;
}

/* Note a block that the allocator has returned. */
static void open_block(struct shadow *shadow, uint32_t pointer, uint32_t size)
{
    uint32_t *block_size = block_size_at(shadow, pointer);
    if (block_size == NULL)
        return;
    *block_size = size;
    set_state(shadow, pointer, size, BYTE_ACCESSIBLE);
}

static void close_block(struct shadow *shadow, uint32_t pointer)
{
    uint32_t *block_size = block_size_at(shadow, pointer);
    if (block_size == NULL)
        return;
    set_state(shadow, pointer, *block_size, BYTE_FREED);
    *block_size = 0;
}

/* The heap's end has moved: by the allocator, or by a program with its own allocator. */
static void move_break(struct shadow *shadow, uint32_t from, uint32_t bytes, bool in_allocator)
{
    int32_t change = (int32_t)bytes;
    if (from == FAILED_BREAK)
        return;
    if (change < 0)
        set_state(shadow, from + bytes, 0u - bytes, BYTE_OUTSIDE);
    const struct shadow_stack *stack = &shadow->stacks[RESET_STACK];
    if (from < stack->sp && from + bytes > stack->sp && stack->sp <= stack->top)
        change = (int32_t)(stack->sp - from); /* the heap meets the stack, which keeps its bytes */
    if (change > 0 && in_allocator) {
        set_state(shadow, from, (uint32_t)change, BYTE_HEAP);
    } else if (change > 0) {
        set_state(shadow, from, (uint32_t)change, BYTE_ACCESSIBLE);
        set_undefined(shadow, from, (uint32_t)change);
    }
}

void shadow_heap_event(struct shadow *shadow, const struct heap_event *event, bool in_allocator)
{
    uint32_t before = 0;
    switch ((enum heap_function)event->function) {
    case HEAP_REALLOC_BEGINS:
    case HEAP_LONGJMP:
    case HEAP_QUERY:
    case HEAP_USABLE_SIZE:
    case HEAP_ALIGNED_CALLOC: return;
    case HEAP_BREAK: move_break(shadow, event->result, event->size, in_allocator); return;
    case HEAP_FREE:
        close_block(shadow, event->pointer);
        return;
    case HEAP_REALLOC:
        if (event->pointer != 0) {
            uint32_t *block_size = block_size_at(shadow, event->pointer);
            before = block_size != NULL ? *block_size : 0;
            if (event->result != 0 || event->size == 0)
                close_block(shadow, event->pointer);
        }
        break;
    case HEAP_CALLOC: before = event->size; break; /* the stores of calloc tell which bytes were cleared */
    case HEAP_MALLOC:
    case HEAP_MEMALIGN: break;
    }
    if (event->result == 0)
        return;
    open_block(shadow, event->result, event->size);
    if (event->size > before)
        set_undefined(shadow, event->result + before, event->size - before);
}

/* ---- registers ---- */

static bool is_undefined(const struct shadow *shadow, uint64_t registers)
{
    return (shadow->undefined_registers & registers) != 0;
}

static uint32_t undefined_in(const struct shadow *shadow, uint32_t number)
{
    return is_undefined(shadow, BIT(number)) ? shadow->undefined[number] : 0;
}

static void set_register(struct shadow *shadow, uint32_t number, uint32_t undefined, uint32_t origin)
{
    if (undefined == 0) {
        shadow->undefined_registers &= ~BIT(number);
        return;
    }
    shadow->undefined_registers |= BIT(number);
    shadow->undefined[number] = undefined;
    shadow->origin[number] = origin;
}

static void set_registers(struct shadow *shadow, uint64_t registers, const uint32_t *undefined, uint32_t origin)
{
    for (uint32_t number = 0; number < REGISTERS; number++)
        if (registers & BIT(number))
            set_register(shadow, number, undefined[number], origin);
}

static uint32_t origin_of(const struct shadow *shadow, uint64_t registers)
{
    registers &= shadow->undefined_registers;
    for (uint32_t number = 0; number < REGISTERS; number++)
        if (registers & BIT(number))
            return shadow->origin[number];
    return 0;
}

/* The current registers, with the values of the registers in needed. */
static struct registers present_registers(const struct probe *probe, uc_engine *uc, uint64_t needed)
{
    struct registers present = {.unknown = ~needed};
    if (needed & BIT(REGISTER_GE))
        present.selection = read_register(probe, uc, UC_ARM_REG_CPSR) >> 16;
    for (uint32_t number = 0; number <= REGISTER_PC; number++)
        if (needed & BIT(number))
            present.value[number] = core_register(probe, uc, number);
    for (uint32_t number = 0; number < REGISTERS; number++)
        present.undefined[number] = undefined_in(probe->shadow, number);
    return present;
}

/* An IT with an undefined condition: its block's results depend on the condition if the two ways differ. */
static void choose(struct probe *probe, const struct instruction *at, uint32_t pc, const struct registers *before,
                   uint32_t origin)
{
    struct shadow *shadow = probe->shadow;
    struct registers ways[2] = {*before, *before};
    const uint32_t *number = number_at(probe, pc + 2);
    for (uint32_t i = 0; number != NULL && i < at->count; number++)
        if (*number != NOT_AN_INSTRUCTION)
            compute(&probe->table.instructions[*number], &ways[at->taken >> i++ & 1]);
    for (uint32_t r = 0; r < REGISTERS; r++) {
        bool comparable = r < REGISTER_S0 && !((ways[0].unknown | ways[1].unknown) & BIT(r));
        uint32_t differing = comparable ? ways[0].value[r] ^ ways[1].value[r] : ALL;
        shadow->choice_undefined[r] = ways[0].undefined[r] | ways[1].undefined[r] | differing;
    }
    shadow->choice = at->chooses;
    shadow->choice_end = pc + at->covered;
    shadow->choice_origin = origin;
}

/* The instruction reads an undefined value. */
static void propagate(struct probe *probe, uc_engine *uc, struct instruction *at, uint32_t pc)
{
    struct shadow *shadow = probe->shadow;
    uint32_t origin = origin_of(shadow, at->reads);
    struct place nowhere = {ACCESS_NONE, 0, 0, 0};
    if (at->jumps) {
        report(probe, uc, at, pc, FINDING_UNINITIALISED_ADDRESS, origin, nowhere);
        shadow->undefined_registers &= ~(at->reads | at->writes);
        return;
    }
    struct registers registers = present_registers(probe, uc, at->operation == OP_CHOOSE ? UINT64_MAX : at->reads);
    if (at->condition == 0) {
        compute(at, &registers);
        set_registers(shadow, at->writes, registers.undefined, origin);
    } else if (undefined_condition(at, &registers)) {
        if (at->operation == OP_CHOOSE) {
            choose(probe, at, pc, &registers, origin);
            return;
        }
        report(probe, uc, at, pc, FINDING_UNINITIALISED_BRANCH, origin, nowhere);
        shadow->undefined_registers &= ~at->reads; /* one mistake, one report */
    }
}

/* ---- loads and stores ---- */

/* null: whether the pointer in use is a null pointer. */
bool is_open(const struct probe *probe, const struct shadow_memory *memory, uint32_t offset, enum access access,
             bool null)
{
    bool in_allocator = running(probe)->heap_call.return_address != 0, in_program = probe->shadow->in_program;
    switch ((enum byte_state)memory->state[offset]) {
    case BYTE_ACCESSIBLE: return true;
    case BYTE_OUTSIDE: return in_allocator || !in_program;
    case BYTE_PADDING: return !in_program;
    case BYTE_READ_ONLY: return !in_program || access == ACCESS_LOAD;
    case BYTE_NULL: return !in_program || !null;
    case BYTE_BELOW_STACK: return in_allocator || !in_program;
    case BYTE_HEAP:
    case BYTE_FREED: return in_allocator;
    }
    return true;
}

/* Report an access to bytes that may not be accessed; false if the run cannot go on with their value.
 *
 * A whole aligned word may be loaded for some of its bytes: string functions do so, and no word spans two objects that
 * could be protected from each other. *beyond gets the bytes that have no owner. */
static bool check_access(struct probe *probe, uc_engine *uc, struct instruction *at, uint32_t pc, uint32_t base,
                         struct shadow_memory *memory, uint32_t address, uint32_t unit, uint32_t *beyond)
{
    uint32_t offset = address - memory->start, closed = 0, first_closed = 0;
    enum access access = (enum access)at->access;
    bool null = base == 0 && at->base != REGISTER_PC;
    for (uint32_t i = at->size; i-- > 0;)
        if (!is_open(probe, memory, offset + i, access, null)) {
            closed |= 0xffu << 8 * i;
            first_closed = i;
        }
    if (closed == 0)
        return true;
    if (access == ACCESS_LOAD && at->size == 4 && address % 4 == 0) {
        uint32_t start = offset & ~(unit - 1);
        bool explained = at->string != STRING_NONE;
        for (uint32_t i = 0; i < unit && start + i < memory->size; i++)
            explained = explained || is_open(probe, memory, start + i, access, null);
        if (explained) {
            *beyond = closed;
            return true;
        }
    }
    struct place place = {access, address + first_closed, at->size, memory->state[offset + first_closed]};
    report(probe, uc, at, pc, FINDING_ACCESS, 0, place);
    return false;
}

uint32_t origin_here(struct probe *probe, uc_engine *uc, struct instruction *at, uint32_t pc, uint32_t address)
{
    struct shadow *shadow = probe->shadow;
    if (at->origin == 0) {
        if (shadow->origin_count == shadow->origin_capacity)
            return 0;
        at->origin = shadow->origin_count++;
    }
    shadow->origins[at->origin] =
        (struct origin){.pc = pc, .address = address, .sp = read_register(probe, uc, UC_ARM_REG_SP)};
    return at->origin;
}

static uint32_t lowest_byte(uint32_t bits)
{
    uint32_t byte = 0;
    while (byte < 3 && (bits >> 8 * byte & 0xff) == 0)
        byte++;
    return byte;
}

static void load(struct probe *probe, uc_engine *uc, struct instruction *at, uint32_t pc, uint32_t base,
                 uint32_t address)
{
    struct shadow *shadow = probe->shadow;
    uint32_t unit = at->count == 2 && at->size == 4 && address % 8 == 0 ? 8 : 4;
    for (uint32_t i = 0; i < at->count; i++, address += at->size) {
        struct shadow_memory *memory = memory_at(shadow, address);
        uint32_t undefined = 0, origin = 0, number = at->registers[i];
        if (memory != NULL && at->size <= memory->size - (address - memory->start)) {
            uint32_t offset = address - memory->start, states = 0, beyond = 0;
            memcpy(&states, memory->state + offset, at->size);
            bool good = states == 0 || check_access(probe, uc, at, pc, base, memory, address, unit, &beyond);
            if (memory->undefined != NULL && good)
                memcpy(&undefined, memory->undefined + offset, at->size);
            if (shadow->follows_undefined)
                undefined |= beyond;
            if (undefined != 0 && at->string != STRING_NONE && shadow->string_reported)
                undefined = 0; /* one mistake, one report */
            if (undefined != 0) {
                uint32_t byte = lowest_byte(undefined);
                origin = memory->origin != NULL ? memory->origin[(offset + byte) / 4] : 0;
                if (origin == 0)
                    origin = origin_here(probe, uc, at, pc, address + byte);
                uint32_t sign = 1u << (8 * at->size - 1);
                if (at->is_signed && undefined & sign)
                    undefined |= ~(sign | (sign - 1));
            }
        }
        if (i < at->reserves)
            undefined = 0;
        if (number == REGISTER_PC && undefined != 0)
            report(probe, uc, at, pc, FINDING_UNINITIALISED_ADDRESS, origin,
                   (struct place){ACCESS_LOAD, address, at->size, 0});
        else if (number != NO_REGISTER)
            set_register(shadow, number, undefined, origin);
    }
}

static void store(struct probe *probe, uc_engine *uc, struct instruction *at, uint32_t pc, uint32_t base,
                  uint32_t address)
{
    struct shadow *shadow = probe->shadow;
    for (uint32_t i = 0; i < at->count; i++, address += at->size) {
        struct shadow_memory *memory = memory_at(shadow, address);
        uint32_t number = at->registers[i], undefined = undefined_in(shadow, number), beyond;
        if (i < at->reserves)
            undefined = ALL;
        if (at->size < 4)
            undefined &= (1u << 8 * at->size) - 1;
        if (memory == NULL || at->size > memory->size - (address - memory->start)) {
            if (undefined != 0)
                report(probe, uc, at, pc, FINDING_UNINITIALISED_OUTPUT, shadow->origin[number],
                       (struct place){ACCESS_STORE, address, at->size, 0});
            continue;
        }
        uint32_t offset = address - memory->start, states = 0;
        memcpy(&states, memory->state + offset, at->size);
        if (states != 0 && !(memory->state[offset] == BYTE_BELOW_STACK && kernel_stores(probe, address, at->size)))
            check_access(probe, uc, at, pc, base, memory, address, 1, &beyond);
        if (memory->undefined == NULL)
            continue;
        memcpy(memory->undefined + offset, &undefined, at->size);
        if (undefined != 0)
            memory->origin[offset / 4] = i < at->reserves ? 0 : shadow->origin[number];
    }
}

static void access_memory(struct probe *probe, uc_engine *uc, struct instruction *at, uint32_t pc)
{
    struct shadow *shadow = probe->shadow;
    uint32_t base, address = accessed_address(probe, uc, at, pc, &base);
    uint64_t parts = BIT(at->base) | (at->index != NO_REGISTER ? BIT(at->index) : 0);
    struct place place = {(enum access)at->access, address, at->size, 0};
    if (is_undefined(shadow, parts)) {
        report(probe, uc, at, pc, FINDING_UNINITIALISED_ADDRESS, origin_of(shadow, parts), place);
        shadow->undefined_registers &= ~parts;
    }
    if (address % at->alignment != 0 || (address % at->size != 0 && memory_at(shadow, address) == NULL))
        report(probe, uc, at, pc, FINDING_UNALIGNED, 0, place);
    uint64_t other_writes = at->writes;
    for (uint32_t i = 0; i < at->count; i++)
        if (at->registers[i] != NO_REGISTER)
            other_writes &= ~BIT(at->registers[i]);
    if (at->access == ACCESS_LOAD)
        load(probe, uc, at, pc, base, address);
    else
        store(probe, uc, at, pc, base, address);
    shadow->undefined_registers &= ~other_writes;
}

/* ---- an instruction ---- */

/* The startup code is over. */
void shadow_program_begins(struct shadow *shadow) { shadow->in_program = 1; }

/* Finish the tasks that earlier instructions left for the instruction at pc. */
static void settle(struct probe *probe, uc_engine *uc, uint32_t pc)
{
    struct shadow *shadow = probe->shadow;
    if (shadow->sp_changed) {
        shadow->sp_changed = 0;
        move_stack_pointer(probe, read_register(probe, uc, UC_ARM_REG_SP));
    }
    if (shadow->choice_end == pc) {
        shadow->choice_end = 0;
        set_registers(shadow, shadow->choice, shadow->choice_undefined, shadow->choice_origin);
    }
}

/* The instruction is about to run. */
void shadow_instruction(struct probe *probe, uc_engine *uc, struct instruction *at, uint32_t pc)
{
    struct shadow *shadow = probe->shadow;
    if (shadow->sp_changed || shadow->choice_end != 0)
        settle(probe, uc, pc);
    bool moves = at->sp_delta != 0 && at->sp_delta != SP_DYNAMIC;
    uint32_t sp = moves ? read_register(probe, uc, UC_ARM_REG_SP) + (uint32_t)at->sp_delta : 0;
    if (moves && at->sp_delta < 0)
        move_stack_pointer(probe, sp);
    if (at->access != ACCESS_NONE)
        access_memory(probe, uc, at, pc);
    else if (is_undefined(shadow, at->reads))
        propagate(probe, uc, at, pc);
    else
        shadow->undefined_registers &= ~at->writes;
    if (moves && at->sp_delta > 0)
        move_stack_pointer(probe, sp);
    if (at->sp_delta == SP_DYNAMIC)
        shadow->sp_changed = 1;
}

/* ---- exceptions ---- */

/* The registers in an exception's frame, word by word (B1.5.6); the return address is always known. */
#define BASIC_WORDS 8u
static const uint8_t frame_registers[BASIC_WORDS] = {0, 1, 2, 3, 12, REGISTER_LR, NO_REGISTER, REGISTER_FLAGS};
#define EXTENDED_WORDS (BASIC_WORDS + 17)

static uint32_t frame_register(uint32_t word)
{
    if (word < BASIC_WORDS)
        return frame_registers[word];
    return word + 1 < EXTENDED_WORDS ? REGISTER_S0 + word - BASIC_WORDS : REGISTER_FP_FLAGS;
}

/* The core has pushed an exception's frame: its words are as undefined as the registers. */
void shadow_push_frame(struct probe *probe, uc_engine *uc, uint32_t pc, uint32_t frame, bool floats)
{
    struct shadow *shadow = probe->shadow;
    if (shadow->sp_changed || shadow->choice_end != 0)
        settle(probe, uc, pc);
    move_stack_pointer(probe, frame);
    uint32_t count = floats ? EXTENDED_WORDS : BASIC_WORDS;
    struct shadow_memory *memory = memory_at(shadow, frame);
    if (memory == NULL || memory->undefined == NULL || 4 * count > memory->size - (frame - memory->start))
        return;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t offset = frame - memory->start + 4 * i, number = frame_register(i);
        uint32_t undefined = number != NO_REGISTER ? undefined_in(shadow, number) : 0;
        memcpy(memory->undefined + offset, &undefined, 4);
        if (undefined != 0)
            memory->origin[offset / 4] = shadow->origin[number];
    }
    shadow->undefined_registers &= ~BIT(REGISTER_LR);
}

/* The core has popped an exception's frame. */
void shadow_pop_frame(struct probe *probe, uint32_t frame, bool floats)
{
    struct shadow *shadow = probe->shadow;
    uint32_t count = floats ? EXTENDED_WORDS : BASIC_WORDS;
    struct shadow_memory *memory = memory_at(shadow, frame);
    shadow->sp_changed = 1;
    if (memory == NULL || memory->undefined == NULL || 4 * count > memory->size - (frame - memory->start))
        return;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t offset = frame - memory->start + 4 * i, number = frame_register(i), undefined;
        memcpy(&undefined, memory->undefined + offset, 4);
        if (number != NO_REGISTER)
            set_register(shadow, number, undefined, memory->origin[offset / 4]);
    }
}

/* A peripheral has stored to memory: the bytes have values. */
void shadow_stored(struct shadow *shadow, uint32_t address, uint32_t bytes)
{
    struct shadow_memory *memory = memory_at(shadow, address);
    if (memory != NULL && memory->undefined != NULL && bytes <= memory->size - (address - memory->start))
        memset(memory->undefined + (address - memory->start), 0, bytes);
}
