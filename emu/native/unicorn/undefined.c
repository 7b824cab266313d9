/* The effect of an instruction on undefined bits of its operands.
 *
 * Undefined bits are followed one by one, as in Valgrind's Memcheck (Seward and Nethercote, "Using Valgrind to detect undefined
 * value errors with bit-precision", USENIX 2005): a bit of a result is undefined unless it has one value for all values
 * of the operands' undefined bits. */
#include "shadow_parts.h"

#define FLAG_N 0x80000000u
#define FLAG_Z 0x40000000u
#define FLAG_C 0x20000000u
#define FLAG_V 0x10000000u
#define FLAG_LESS 0x08000000u /* N differs from V: may be defined while both are undefined */
#define FLAGS_ALL (FLAG_N | FLAG_Z | FLAG_C | FLAG_V | FLAG_LESS)

struct operand {
    uint32_t value, undefined; /* only the value's defined bits count */
};

/* ---- operands ---- */

static struct operand operand(const struct registers *registers, uint32_t number, uint32_t immediate)
{
    if (number == NO_REGISTER)
        return (struct operand){immediate, 0};
    if (number >= REGISTER_S0)
        return (struct operand){0, 0};
    return (struct operand){registers->value[number], registers->undefined[number]};
}

/* One halfword of a word, or all of it. */
static struct operand half_of(struct operand whole, uint32_t half)
{
    if (half == 0)
        return whole;
    uint32_t from = half == 16 ? 16 : 0;
    return (struct operand){whole.value >> from & 0xffff, whole.undefined >> from & 0xffff};
}

static uint32_t shifted(uint32_t bits, enum shift shift, uint32_t amount)
{
    if (amount == 0)
        return bits;
    switch (shift) {
    case SHIFT_LEFT: return amount < 32 ? bits << amount : 0;
    case SHIFT_RIGHT: return amount < 32 ? bits >> amount : 0;
    case SHIFT_RIGHT_SIGNED: {
        uint32_t sign = bits & FLAG_N ? ALL : 0;
        return amount < 32 ? bits >> amount | (sign << (32 - amount)) : sign;
    }
    case SHIFT_ROTATE: return amount % 32 != 0 ? bits >> amount % 32 | bits << (32 - amount % 32) : bits;
    case SHIFT_NONE: break;
    }
    return bits;
}

static uint32_t shift_amount(const struct registers *registers, const struct instruction *at)
{
    return at->amount_register == NO_REGISTER ? at->amount : registers->value[at->amount_register] & 0xff;
}

static bool shift_is_undefined(const struct registers *registers, const struct instruction *at)
{
    return at->amount_register != NO_REGISTER && registers->undefined[at->amount_register] != 0;
}

static struct operand second_operand(const struct registers *registers, const struct instruction *at)
{
    struct operand second = {at->immediate, 0};
    if (at->second != NO_REGISTER) {
        second = half_of(operand(registers, at->second, 0), at->second_half);
        uint32_t amount = shift_amount(registers, at);
        second.value = shifted(second.value, (enum shift)at->shift, amount);
        second.undefined = shift_is_undefined(registers, at) ? ALL : shifted(second.undefined, (enum shift)at->shift, amount);
    }
    if (at->inverted)
        second.value = ~second.value;
    return second;
}

/* Whether the last bit that a shift moves out is undefined. */
static bool carry_is_undefined(const struct registers *registers, const struct instruction *at)
{
    uint32_t undefined = registers->undefined[at->second], amount = shift_amount(registers, at);
    if (shift_is_undefined(registers, at))
        return true;
    if (amount == 0)
        return registers->undefined[REGISTER_FLAGS] & FLAG_C;
    if (at->shift == SHIFT_LEFT)
        return amount <= 32 && (undefined >> (32 - amount) & 1);
    return shifted(undefined, (enum shift)at->shift, amount - 1) & 1;
}

/* ---- operations ---- */

static uint32_t spread_up(uint32_t undefined) { return undefined | (0u - undefined); }

static uint32_t reversed_bytes(uint32_t x)
{
    return x >> 24 | (x >> 8 & 0xff00) | (x << 8 & 0xff0000) | x << 24;
}

static uint32_t reversed_bits(uint32_t x)
{
    uint32_t reversed = 0;
    for (int i = 0; i < 32; i++, x >>= 1)
        reversed = reversed << 1 | (x & 1);
    return reversed;
}

/* The undefined flags of N, Z, C, V of first - second: those with both values among all values of undefined bits. */
static uint32_t undefined_after_compare(struct operand first, struct operand second)
{
    uint32_t undefined = first.undefined | second.undefined;
    if (undefined == 0)
        return 0;
    if (second.undefined == 0 && second.value == 0)
        return (first.undefined & FLAG_N ? FLAG_N | FLAG_LESS : 0) | (first.value & ~undefined ? 0 : FLAG_Z);
    uint32_t flags = FLAGS_ALL;
    if ((first.value ^ second.value) & ~undefined)
        flags &= ~FLAG_Z;
    uint32_t least[2], most[2]; /* unsigned; with the sign bit inverted, in the order of signed numbers */
    for (int is_signed = 0; is_signed < 2; is_signed++) {
        const struct operand *operands[2] = {&first, &second};
        for (int i = 0; i < 2; i++) {
            uint32_t value = operands[i]->value ^ (is_signed ? FLAG_N : 0);
            least[i] = value & ~operands[i]->undefined;
            most[i] = value | operands[i]->undefined;
        }
        if (least[0] >= most[1] || most[0] < least[1])
            flags &= is_signed ? ~FLAG_LESS : ~FLAG_C;
    }
    return flags;
}

/* The undefined bits of four sums; *carries are the undefined carries. */
static uint32_t undefined_sums(uint32_t undefined, uint32_t *carries)
{
    uint32_t result = 0;
    *carries = 0;
    for (uint32_t i = 0; i < 4; i++) {
        uint32_t byte = undefined >> 8 * i & 0xff;
        result |= (spread_up(byte) & 0xff) << 8 * i;
        *carries |= (byte != 0 ? 1u : 0u) << i;
    }
    return result;
}

static uint32_t undefined_selection(const struct registers *registers, struct operand first, struct operand second)
{
    uint32_t undefined_choice = registers->undefined[REGISTER_GE], result = 0;
    for (uint32_t i = 0; i < 4; i++) {
        uint32_t either = first.undefined | second.undefined | (first.value ^ second.value);
        uint32_t chosen = registers->selection >> i & 1 ? first.undefined : second.undefined;
        result |= (undefined_choice >> i & 1 ? either : chosen) & 0xffu << 8 * i;
    }
    return result;
}

/* The result of an operation, with its value if the value is known. */
struct result {
    uint32_t value, undefined;
    bool known;
};

/* width bits from lsb on (rotated to bit 0), extended to a word. */
static struct result extracted(const struct instruction *at, struct operand from)
{
    uint32_t mask = at->width < 32 ? (1u << at->width) - 1 : ALL, sign = 1u << (at->width - 1);
    uint32_t value = shifted(from.value, SHIFT_ROTATE, at->lsb) & mask;
    uint32_t undefined = shifted(from.undefined, SHIFT_ROTATE, at->lsb) & mask;
    return (struct result){at->is_signed && value & sign ? value | ~mask : value,
                           at->is_signed && undefined & sign ? undefined | ~mask : undefined, true};
}

static struct result result_of(const struct registers *registers, const struct instruction *at, struct operand first,
                               struct operand second)
{
    uint32_t either = first.undefined | second.undefined;
    switch ((enum operation)at->operation) {
    case OP_AND:
        return (struct result){first.value & second.value,
                               either & (first.value | first.undefined) & (second.value | second.undefined), true};
    case OP_OR:
        return (struct result){first.value | second.value,
                               either & ~(first.value & ~first.undefined) & ~(second.value & ~second.undefined), true};
    case OP_XOR: {
        bool same = at->first == at->second && at->shift == SHIFT_NONE;
        return (struct result){first.value ^ second.value, same ? 0 : either, true};
    }
    case OP_SHIFT: return (struct result){second.value, second.undefined, true};
    case OP_EXTRACT: return extracted(at, first);
    case OP_INSERT: {
        uint32_t mask = (at->width < 32 ? (1u << at->width) - 1 : ALL) << at->lsb;
        return (struct result){(first.value & ~mask) | (second.value << at->lsb & mask),
                               (first.undefined & ~mask) | (second.undefined << at->lsb & mask), true};
    }
    case OP_ADD: {
        struct operand third = operand(registers, at->third, 0);
        uint32_t added = at->width < 32 ? extracted(at, second).undefined : second.undefined;
        return (struct result){0, spread_up(first.undefined | added | third.undefined), false};
    }
    case OP_REVERSE_BYTES: return (struct result){0, reversed_bytes(second.undefined), false};
    case OP_REVERSE_HALFWORD_BYTES:
        return (struct result){0, (second.undefined >> 8 & 0xff00ff) | (second.undefined << 8 & 0xff00ff00), false};
    case OP_REVERSE_BITS: return (struct result){0, reversed_bits(second.undefined), false};
    case OP_COUNT_ZEROS:
        return (struct result){0, (second.value & ~second.undefined) > second.undefined ? 0 : 0x3f, false};
    case OP_SELECT: return (struct result){0, undefined_selection(registers, first, second), false};
    case OP_ADD_BYTES:
    case OP_OPAQUE:
    case OP_MOVE:
    case OP_COMPARE:
    case OP_CHOOSE: break;
    }
    return (struct result){0, ALL, false};
}

static uint32_t undefined_flags(const struct registers *registers, const struct instruction *at, struct result result)
{
    uint32_t before = registers->undefined[REGISTER_FLAGS], flags = 0;
    if (at->operation == OP_ADD)
        return result.undefined != 0 ? FLAGS_ALL : 0;
    if (result.undefined != 0 && (result.value & ~result.undefined) == 0)
        flags |= FLAG_Z;
    flags |= (result.undefined & FLAG_N) | (before & FLAG_V);
    if (flags & (FLAG_N | FLAG_V))
        flags |= FLAG_LESS;
    bool carries = at->second != NO_REGISTER && at->shift != SHIFT_NONE;
    return flags | (carries ? (carry_is_undefined(registers, at) ? FLAG_C : 0) : before & FLAG_C);
}

/* ---- instructions ---- */

static void set_written(struct registers *registers, uint64_t written, uint32_t undefined)
{
    for (uint32_t number = 0; number < REGISTERS; number++)
        if (written & BIT(number))
            registers->undefined[number] = undefined;
}

static bool reads_undefined(const struct registers *registers, uint64_t reads)
{
    for (uint32_t number = 0; number < REGISTERS; number++)
        if (reads & BIT(number) && registers->undefined[number] != 0)
            return true;
    return false;
}

static void move(const struct instruction *at, struct registers *registers)
{
    uint32_t undefined[sizeof at->registers];
    for (uint32_t i = 0; i < at->count; i++)
        undefined[i] = registers->undefined[at->registers[at->count + i]];
    for (uint32_t i = 0; i < at->count; i++)
        registers->undefined[at->registers[i]] = undefined[i];
}

/* Run the instruction on the registers: set their undefined bits, and the known values. */
void compute(const struct instruction *at, struct registers *registers)
{
    struct operand first = half_of(operand(registers, at->first, at->immediate), at->first_half);
    struct operand second = second_operand(registers, at);
    registers->unknown |= at->writes;
    switch ((enum operation)at->operation) {
    case OP_OPAQUE:
    case OP_CHOOSE:
        set_written(registers, at->writes, reads_undefined(registers, at->reads) ? ALL : 0);
        return;
    case OP_MOVE: move(at, registers); return;
    case OP_COMPARE: registers->undefined[REGISTER_FLAGS] = undefined_after_compare(first, second); return;
    case OP_ADD_BYTES: {
        uint32_t carries, sums = undefined_sums(first.undefined | second.undefined, &carries);
        registers->undefined[at->destination] = sums;
        registers->undefined[REGISTER_GE] = carries;
        return;
    }
    default: break;
    }
    struct result result = result_of(registers, at, first, second);
    if (at->sets_flags)
        registers->undefined[REGISTER_FLAGS] = undefined_flags(registers, at, result);
    if (at->destination == NO_REGISTER)
        return;
    registers->undefined[at->destination] = result.undefined;
    if (result.known && at->destination < REGISTER_S0) {
        registers->value[at->destination] = result.value;
        registers->unknown &= ~BIT(at->destination);
    }
}

/* Whether the instruction's condition is undefined. */
bool undefined_condition(const struct instruction *at, const struct registers *registers)
{
    uint32_t flags = registers->undefined[REGISTER_FLAGS];
    if (at->operation == OP_COMPARE)
        flags = undefined_after_compare(operand(registers, at->first, 0), second_operand(registers, at));
    return (flags & at->condition) != 0;
}
