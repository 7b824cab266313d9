"""What a Thumb-2 instruction reads, computes and writes, to follow undefined bits.

The rules follow the Armv7-M Architecture Reference Manual, A7.7. They are written out here because Capstone's lists of
registers read and written leave some out. An instruction that is not known precisely is ``OPAQUE``: its first register
is its result, and it reads all the other registers.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from enum import IntEnum

import capstone
from capstone import arm_const as arm

from emu.architectures.armv7em.stack_effects import stack_effects

SP, LR, PC, S0 = 13, 14, 15, 16
FLAGS, GE, FP_FLAGS = 48, 49, 50
NO_REGISTER = 0xFF

N, Z, C, V, LESS = 1 << 31, 1 << 30, 1 << 29, 1 << 28, 1 << 27
"""The flags, and whether N differs from V: the difference may be defined while both flags are undefined."""
_CONDITIONS = {
    "eq": Z, "ne": Z, "hs": C, "lo": C, "mi": N, "pl": N, "vs": V, "vc": V,
    "hi": C | Z, "ls": C | Z, "ge": LESS, "lt": LESS, "gt": LESS | Z, "le": LESS | Z,
}  # fmt: skip
"""The flags that each condition reads."""
_CONDITION_NAMES = dict(enumerate(_CONDITIONS, start=arm.ARM_CC_EQ))


class Operation(IntEnum):
    """How undefined bits go from the operands into the result (``enum operation`` in shadow.h)."""

    OPAQUE = 0
    MOVE = 1
    AND = 2
    OR = 3
    XOR = 4
    ADD = 5
    SHIFT = 6
    EXTRACT = 7
    INSERT = 8
    REVERSE_BYTES = 9
    REVERSE_HALFWORD_BYTES = 10
    REVERSE_BITS = 11
    COUNT_ZEROS = 12
    ADD_BYTES = 13
    SELECT = 14
    COMPARE = 15
    CHOOSE = 16


class Shift(IntEnum):
    """``enum shift`` in shadow.h."""

    NONE = 0
    LEFT = 1
    RIGHT = 2
    RIGHT_SIGNED = 3
    ROTATE = 4


class Access(IntEnum):
    """``enum access`` in shadow.h."""

    NONE = 0
    LOAD = 1
    STORE = 2


@dataclass(frozen=True)
class Instruction:
    """One instruction; the fields are those of ``struct instruction`` in shadow.h."""

    address: int
    bytes: int
    """The instruction's bytes of machine code."""
    reads: frozenset[int] = frozenset()
    writes: frozenset[int] = frozenset()
    operation: Operation = Operation.OPAQUE
    destination: int = NO_REGISTER
    first: int = NO_REGISTER
    second: int = NO_REGISTER
    third: int = NO_REGISTER
    first_half: int = 0
    second_half: int = 0
    immediate: int = 0
    shift: Shift = Shift.NONE
    amount: int = 0
    amount_register: int = NO_REGISTER
    lsb: int = 0
    width: int = 32
    chooses: frozenset[int] = frozenset()
    covered: int = 0
    block: int = 0
    """Instructions of which an IT runs some."""
    taken: int = 0
    is_signed: bool = False
    inverted: bool = False
    sets_flags: bool = False
    condition: int = 0
    jumps: bool = False
    access: Access = Access.NONE
    size: int = 0
    alignment: int = 1
    base: int = NO_REGISTER
    index: int = NO_REGISTER
    index_shift: int = 0
    displacement: int = 0
    elements: int = 0
    """Accesses to memory: one for each register, double-precision registers included."""
    status: int = NO_REGISTER
    """The register that an exclusive store sets to 0 if it has stored."""
    registers: tuple[int, ...] = ()
    sp_delta: int = 0


def decode(code: bytes, address: int) -> Iterator[Instruction]:
    """Yield the instructions in ``code``, loaded at ``address``; bytes that are no instruction are OPAQUE."""
    disassembler = capstone.Cs(
        capstone.CS_ARCH_ARM, capstone.CS_MODE_THUMB + capstone.CS_MODE_MCLASS + capstone.CS_MODE_V8
    )
    disassembler.detail = True
    disassembler.skipdata = True
    deltas = {effect.address: effect.delta for effect in stack_effects(code, address)}
    described = [
        replace(_describe(instruction), sp_delta=deltas.get(instruction.address, 0))
        for instruction in disassembler.disasm(code, address)
    ]
    for index, instruction in enumerate(described):
        count, taken = _it_block(code, instruction, address)
        block = described[index + 1 : index + 1 + count]
        computes = count and len(block) == count and all(map(_only_computes, block))
        yield _choice(instruction, block, taken) if computes else instruction


# ---- IT blocks -------------------------------------------------------------------------------------------------------


def _it_block(code: bytes, instruction: Instruction, address: int) -> tuple[int, int]:
    """Return the number of an IT's instructions, and a bit for each one that runs if the condition holds."""
    offset = instruction.address - address
    halfword = int.from_bytes(code[offset : offset + 2], "little")
    mask, condition = halfword & 0xF, halfword >> 4 & 1
    if halfword >> 8 != 0xBF or not mask:
        return 0, 0
    count = 4 - ((mask & -mask).bit_length() - 1)
    runs = [True, *((mask >> (4 - index) & 1) == condition for index in range(1, count))]
    return count, sum(1 << index for index, taken in enumerate(runs) if taken)


def _only_computes(instruction: Instruction) -> bool:
    return bool(instruction.writes) and not (
        instruction.access or instruction.jumps or instruction.sp_delta or instruction.condition
    )


def _choice(it: Instruction, block: Sequence[Instruction], taken: int) -> Instruction:
    """Return an IT whose block chooses between values without a branch, such as ``condition ? a : b``."""
    chooses = frozenset(number for instruction in block for number in instruction.writes)
    covered = sum(instruction.bytes for instruction in block) + it.bytes
    return replace(it, operation=Operation.CHOOSE, chooses=chooses, covered=covered, block=len(block), taken=taken)


# ---- operands --------------------------------------------------------------------------------------------------------

_SHIFTS = {
    arm.ARM_SFT_LSL: Shift.LEFT, arm.ARM_SFT_LSR: Shift.RIGHT, arm.ARM_SFT_ASR: Shift.RIGHT_SIGNED,
    arm.ARM_SFT_ROR: Shift.ROTATE,
}  # fmt: skip
_SHIFTS_BY_REGISTER = {
    arm.ARM_SFT_LSL_REG: Shift.LEFT, arm.ARM_SFT_LSR_REG: Shift.RIGHT, arm.ARM_SFT_ASR_REG: Shift.RIGHT_SIGNED,
    arm.ARM_SFT_ROR_REG: Shift.ROTATE,
}  # fmt: skip


def _numbers(register: int) -> tuple[int, ...]:
    """Return our numbers for Capstone's register; a double has two."""
    if arm.ARM_REG_R0 <= register <= arm.ARM_REG_R12:
        return (register - arm.ARM_REG_R0,)
    if arm.ARM_REG_S0 <= register <= arm.ARM_REG_S31:
        return (S0 + register - arm.ARM_REG_S0,)
    if arm.ARM_REG_D0 <= register <= arm.ARM_REG_D15:
        first = S0 + 2 * (register - arm.ARM_REG_D0)
        return (first, first + 1)
    core = {arm.ARM_REG_SP: SP, arm.ARM_REG_LR: LR, arm.ARM_REG_PC: PC}
    return (core[register],) if register in core else ()


@dataclass
class _Operands:
    """The operands as written: the registers' numbers, and the numbers after a ``#``."""

    registers: list[tuple[int, ...]] = field(default_factory=list)
    immediates: list[int] = field(default_factory=list)
    shift: Shift = Shift.NONE
    amount: int = 0
    amount_register: int = NO_REGISTER
    base: int = NO_REGISTER
    index: int = NO_REGISTER
    index_shift: int = 0
    displacement: int = 0

    def flat(self, first: int = 0) -> list[int]:
        return [number for numbers in self.registers[first:] for number in numbers]


def _operands(instruction: capstone.CsInsn) -> _Operands:
    found = _Operands()
    for operand in instruction.operands:
        if operand.type == arm.ARM_OP_REG:
            numbers = _numbers(operand.reg)
            if numbers:
                found.registers.append(numbers)
        elif operand.type == arm.ARM_OP_IMM:
            found.immediates.append(operand.imm & 0xFFFF_FFFF)
        elif operand.type == arm.ARM_OP_MEM:
            found.base = _numbers(operand.mem.base)[0]
            found.index = _numbers(operand.mem.index)[0] if operand.mem.index else NO_REGISTER
            found.index_shift = operand.shift.value if operand.shift.type else 0
            found.displacement = operand.mem.disp
            continue
        if operand.shift.type in _SHIFTS:
            found.shift, found.amount = _SHIFTS[operand.shift.type], operand.shift.value
        elif operand.shift.type in _SHIFTS_BY_REGISTER:
            found.shift = _SHIFTS_BY_REGISTER[operand.shift.type]
            found.amount_register = _numbers(operand.shift.value)[0]
    return found


# ---- mnemonics -------------------------------------------------------------------------------------------------------

_TWO_OPERANDS = {
    "and": Operation.AND, "bic": Operation.AND, "orr": Operation.OR, "orn": Operation.OR, "eor": Operation.XOR,
    "add": Operation.ADD, "addw": Operation.ADD, "sub": Operation.ADD, "subw": Operation.ADD, "rsb": Operation.ADD,
    "mul": Operation.ADD, "uadd8": Operation.ADD_BYTES, "usub8": Operation.ADD_BYTES, "sadd8": Operation.ADD_BYTES,
    "ssub8": Operation.ADD_BYTES, "sel": Operation.SELECT,
}  # fmt: skip
_INVERTED = ("bic", "orn", "mvn")
_ONE_OPERAND = {
    "rev": Operation.REVERSE_BYTES, "rev16": Operation.REVERSE_HALFWORD_BYTES, "rbit": Operation.REVERSE_BITS,
    "clz": Operation.COUNT_ZEROS,
}  # fmt: skip
_COMPARISONS = {"cmp": Operation.COMPARE, "cmn": Operation.ADD, "tst": Operation.AND, "teq": Operation.XOR}
_SHIFT_MNEMONICS = {"lsl": Shift.LEFT, "lsr": Shift.RIGHT, "asr": Shift.RIGHT_SIGNED, "ror": Shift.ROTATE}
_EXTENSIONS = {"uxtb": (8, False), "uxth": (16, False), "sxtb": (8, True), "sxth": (16, True)}
_EXTRACTIONS = {"ubfx": False, "sbfx": True}
_EXTENDED_ADDITIONS = {"uxtab": (8, False), "uxtah": (16, False), "sxtab": (8, True), "sxtah": (16, True)}
_HALF_PRODUCTS = re.compile(r"(?:smul|smla)[bt][bt]")
_HALVES = {"b": 1, "t": 16}
_WITHOUT_DATAFLOW = (
    "nop", "dmb", "dsb", "isb", "cps", "cpsid", "cpsie", "pld", "pldw", "pli", "clrex", "b", "bl", "wfi", "wfe", "sev",
    "yield", "bkpt", "svc", "udf", "dbg", "hint", "msr", "vmsr",
)  # fmt: skip
_ACCUMULATE = (
    "umlal",
    "smlal",
    "umaal",
    "vfma",
    "vfms",
    "vfnma",
    "vfnms",
    "vmla",
    "vmls",
    "vnmla",
    "vnmls",
    "vcvtb",
    "vcvtt",
)
_SETS_GE = ("sadd16", "ssub16", "uadd16", "usub16", "sasx", "ssax", "uasx", "usax")
_TWO_RESULTS = ("umull", "smull", "umlal", "smlal", "umaal")
_SETS_FLAGS = re.compile(r"(?:adc|add|and|asr|bic|eor|lsl|lsr|mov|mul|mvn|neg|orn|orr|ror|rrx|rsb|sbc|sub)s")

_LOADS = re.compile(r"ldr(?P<kind>|b|h|sb|sh|d|t|bt|ht|sbt|sht|ex|exb|exh)|lda(?:ex)?(?P<acquire>|b|h)")
_STORES = re.compile(r"str(?P<kind>|b|h|d|t|bt|ht|ex|exb|exh)|stl(?:ex)?(?P<release>|b|h)")
_MULTIPLE = re.compile(r"(?P<access>v?ldm|v?stm)(?P<order>|ia|db|ea|fd)|v?push|v?pop")


def _describe(instruction: capstone.CsInsn) -> Instruction:
    at = Instruction(instruction.address, instruction.size)
    if instruction.id == 0:
        return at
    mnemonic, condition = _mnemonic(instruction)
    operands = _operands(instruction)
    if mnemonic == "b" or instruction.id == arm.ARM_INS_IT:
        return replace(at, reads=frozenset([FLAGS]) if condition else frozenset(), condition=condition)
    if mnemonic in ("cbz", "cbnz"):
        tested = operands.flat()[0]
        return replace(at, reads=frozenset([tested]), operation=Operation.COMPARE, first=tested, condition=Z)
    if mnemonic in ("bx", "blx"):
        writes = [LR] if mnemonic == "blx" else []
        return replace(at, reads=frozenset(operands.flat()), writes=frozenset(writes), jumps=True)
    if mnemonic in ("tbb", "tbh"):
        return _finish(
            replace(at, access=Access.LOAD, size=1 if mnemonic == "tbb" else 2, registers=(PC,), elements=1),
            operands,
            (),
        )
    if mnemonic in _WITHOUT_DATAFLOW:
        return replace(at, writes=frozenset([LR] if mnemonic == "bl" else []))
    return _memory(at, mnemonic, operands, instruction.op_str) or _data(at, mnemonic, operands)


def _mnemonic(instruction: capstone.CsInsn) -> tuple[str, int]:
    """Return the mnemonic without condition and types, and the flags that the condition reads."""
    name = instruction.mnemonic.partition(".")[0]
    if name.startswith("vsel"):
        return "vsel", 0
    condition = _CONDITION_NAMES.get(instruction.cc, "")
    return name.removesuffix(condition), _CONDITIONS.get(condition, 0)


# ---- loads and stores ------------------------------------------------------------------------------------------------


def _memory(at: Instruction, mnemonic: str, operands: _Operands, text: str) -> Instruction | None:
    if mnemonic in ("vldr", "vstr"):
        access = Access.LOAD if mnemonic == "vldr" else Access.STORE
        at = replace(at, access=access, size=4, alignment=4, registers=tuple(operands.flat()), elements=1)
        return _finish(at, operands, ())
    multiple = _MULTIPLE.fullmatch(mnemonic)
    if multiple is not None:
        return _transfer_many(at, mnemonic, multiple["order"] or "", operands, text)
    load = _LOADS.fullmatch(mnemonic)
    store = _STORES.fullmatch(mnemonic) if load is None else None
    match = load or store
    if match is None or operands.base == NO_REGISTER:
        return None
    kind = match["kind"] or (match["acquire"] if load else match["release"]) or ""
    exclusive = "ex" in mnemonic
    kind = kind.replace("ex", "").replace("t", "") if kind != "t" else ""
    size = {"b": 1, "sb": 1, "h": 2, "sh": 2}.get(kind, 4)
    registers = operands.flat()
    status = (registers.pop(0),) if exclusive and store else ()
    transferred = tuple(registers[: 2 if kind == "d" else 1])
    # Armv7-M, A3.2.1: these accesses must be aligned, even if CCR.UNALIGN_TRP is 0.
    alignment = 4 if kind == "d" else size if exclusive or mnemonic.startswith(("lda", "stl")) else 1
    access = Access.LOAD if load else Access.STORE
    at = replace(
        at,
        access=access,
        size=size,
        alignment=alignment,
        registers=transferred,
        is_signed=kind in ("sb", "sh"),
        elements=len(transferred),
        status=status[0] if status else NO_REGISTER,
    )
    return _finish(at, operands, (*status, *([operands.base] if _writes_back(text) else [])))


def _writes_back(text: str) -> bool:
    return "!" in text or re.search(r"\], #", text) is not None


def _transfer_many(at: Instruction, mnemonic: str, order: str, operands: _Operands, text: str) -> Instruction:
    stack = mnemonic in ("push", "pop", "vpush", "vpop")
    registers = tuple(operands.flat(0 if stack else 1))
    base = SP if stack else operands.flat()[0]
    load = "ld" in mnemonic or "pop" in mnemonic
    down = "push" in mnemonic or order in ("db", "ea" if load else "fd")
    operands.base, operands.displacement = base, -4 * len(registers) if down else 0
    access = Access.LOAD if load else Access.STORE
    elements = len(operands.registers) - (0 if stack else 1)
    at = replace(at, access=access, size=4, alignment=4, registers=registers, elements=elements)
    return _finish(at, operands, (base,) if stack or "!" in text else ())


def _finish(at: Instruction, operands: _Operands, also_writes: Sequence[int]) -> Instruction:
    address = {number for number in (operands.base, operands.index) if number != NO_REGISTER}
    data = set(at.registers)
    return replace(
        at,
        base=operands.base,
        index=operands.index,
        index_shift=operands.index_shift,
        displacement=operands.displacement,
        reads=frozenset(address | (data if at.access == Access.STORE else set())),
        writes=frozenset({*also_writes, *(data if at.access == Access.LOAD else ())}),
    )


# ---- data processing -------------------------------------------------------------------------------------------------


def _data(at: Instruction, mnemonic: str, operands: _Operands) -> Instruction:
    sets_flags = _SETS_FLAGS.fullmatch(mnemonic) is not None
    name = mnemonic[:-1] if sets_flags else mnemonic
    at = replace(
        at,
        sets_flags=sets_flags or name in _COMPARISONS,
        shift=operands.shift,
        amount=operands.amount,
        amount_register=operands.amount_register,
    )
    described = _precise(at, name, operands) or _opaque(at, name, operands)
    if described.destination == PC or PC in described.writes:
        described = replace(described, jumps=True)
    return described


def _precise(at: Instruction, name: str, operands: _Operands) -> Instruction | None:
    numbers = operands.flat()
    immediate = operands.immediates[0] if operands.immediates else 0
    if name == "vmrs":
        to = numbers[0] if numbers else FLAGS
        return replace(
            at, operation=Operation.MOVE, registers=(to, FP_FLAGS), reads=frozenset([FP_FLAGS]), writes=frozenset([to])
        )
    if not numbers:
        return None
    if name in _COMPARISONS:
        second = numbers[1] if len(numbers) > 1 else NO_REGISTER
        return _with_sets(
            replace(at, operation=_COMPARISONS[name], first=numbers[0], second=second, immediate=immediate)
        )
    if name in _TWO_OPERANDS:
        sources = numbers[1:] if len(numbers) + len(operands.immediates) > 2 else numbers
        second = sources[1] if len(sources) > 1 else NO_REGISTER
        at = replace(at, operation=_TWO_OPERANDS[name], inverted=name in _INVERTED, immediate=immediate)
        return _with_sets(replace(at, destination=numbers[0], first=sources[0], second=second))
    if name in _SHIFT_MNEMONICS:
        return _shift(at, name, numbers, immediate)
    if name in ("mov", "movw", "mvn", "adr") and numbers[0] < S0:
        second = numbers[1] if len(numbers) > 1 else NO_REGISTER
        at = replace(at, operation=Operation.SHIFT, destination=numbers[0], second=second, immediate=immediate)
        return _with_sets(replace(at, inverted=name in _INVERTED))
    if name in _ONE_OPERAND:
        return _with_sets(replace(at, operation=_ONE_OPERAND[name], destination=numbers[0], second=numbers[1]))
    if name in _EXTENSIONS and len(numbers) == 2:
        width, is_signed = _EXTENSIONS[name]
        at = replace(at, operation=Operation.EXTRACT, destination=numbers[0], first=numbers[1], lsb=at.amount)
        return _with_sets(replace(at, width=width, is_signed=is_signed, shift=Shift.NONE, amount=0))
    if name in _EXTENDED_ADDITIONS:
        width, is_signed = _EXTENDED_ADDITIONS[name]
        at = replace(at, operation=Operation.ADD, destination=numbers[0], first=numbers[1], second=numbers[2])
        at = replace(at, lsb=at.amount, width=width, is_signed=is_signed, shift=Shift.NONE, amount=0)
        return _with_sets(at)
    if name in ("mla", "mls") or _HALF_PRODUCTS.fullmatch(name):
        return _product(at, name, numbers)
    if name in ("pkhbt", "pkhtb"):
        return _packed(at, name, numbers)
    if name == "uxtb16":
        at = replace(at, operation=Operation.AND, destination=numbers[0], second=numbers[1], immediate=0x00FF_00FF)
        return _with_sets(at)
    if name in _EXTRACTIONS:
        lsb, width = operands.immediates
        at = replace(at, operation=Operation.EXTRACT, destination=numbers[0], first=numbers[1], lsb=lsb, width=width)
        return _with_sets(replace(at, is_signed=_EXTRACTIONS[name]))
    if name == "movt":
        at = replace(at, operation=Operation.INSERT, destination=numbers[0], first=numbers[0], lsb=16, width=16)
        return _with_sets(replace(at, immediate=immediate))
    if name in ("bfi", "bfc"):
        lsb, width = operands.immediates
        second = numbers[1] if name == "bfi" else NO_REGISTER
        at = replace(at, operation=Operation.INSERT, destination=numbers[0], first=numbers[0], lsb=lsb, width=width)
        return _with_sets(replace(at, second=second))
    if name == "vmov" and len(operands.registers) > 1:
        half = len(numbers) // 2
        if len(numbers) == 2 * half and len(operands.registers) in (2, 3, 4) and not _by_lane(operands):
            return replace(
                at,
                operation=Operation.MOVE,
                registers=tuple(numbers),
                reads=frozenset(numbers[half:]),
                writes=frozenset(numbers[:half]),
            )
    return None


def _product(at: Instruction, name: str, numbers: list[int]) -> Instruction:
    """Describe mla, mls and the products of halfwords, with or without a sum."""
    halves = (0, 0) if name in ("mla", "mls") else (_HALVES[name[-2]], _HALVES[name[-1]])
    third = numbers[3] if len(numbers) > 3 else NO_REGISTER
    at = replace(at, operation=Operation.ADD, destination=numbers[0], first=numbers[1], second=numbers[2], third=third)
    return _with_sets(replace(at, first_half=halves[0], second_half=halves[1]))


def _packed(at: Instruction, name: str, numbers: list[int]) -> Instruction:
    """Describe a word that joins a half of one register with a half of a second, shifted register."""
    at = replace(at, operation=Operation.INSERT, destination=numbers[0], first=numbers[1], second=numbers[2], width=16)
    if name == "pkhtb":
        return _with_sets(replace(at, lsb=0))
    left = at.amount - 16  # INSERT moves the half up by 16
    return _with_sets(replace(at, lsb=16, shift=Shift.LEFT if left > 0 else Shift.RIGHT, amount=abs(left)))


def _by_lane(operands: _Operands) -> bool:
    """Return whether one operand is half of a double; Capstone gives a half the name of the whole register."""
    return len(operands.registers) == 2 and len(operands.registers[0]) != len(operands.registers[1])


def _shift(at: Instruction, name: str, numbers: list[int], immediate: int) -> Instruction:
    at = replace(at, operation=Operation.SHIFT, destination=numbers[0], shift=_SHIFT_MNEMONICS[name])
    if immediate:  # lsl r0, r1, #3
        return _with_sets(replace(at, second=numbers[-1], amount=immediate))
    return _with_sets(replace(at, second=numbers[-2], amount_register=numbers[-1]))  # lsl r0, r1, r2 and lsls r0, r1


def _with_sets(at: Instruction) -> Instruction:
    """Return ``at`` with the registers that its operands make it read and write."""
    operands = (at.first, at.second, at.third, at.amount_register)
    reads = {number for number in operands if number != NO_REGISTER}
    writes = {at.destination} - {NO_REGISTER}
    if at.sets_flags:
        writes.add(FLAGS)
    if at.operation == Operation.ADD_BYTES:
        writes.add(GE)
    if at.operation == Operation.SELECT:
        reads.add(GE)
    if at.sets_flags and at.operation not in (Operation.COMPARE, Operation.ADD):
        reads.add(FLAGS)  # some of them stay
    return replace(at, reads=frozenset(reads), writes=frozenset(writes))


def _opaque(at: Instruction, name: str, operands: _Operands) -> Instruction:
    if not operands.registers:
        return replace(at, operation=Operation.OPAQUE)
    if name in ("vcmp", "vcmpe"):
        return replace(at, reads=frozenset(operands.flat()), writes=frozenset([FP_FLAGS]))
    results = 2 if name.startswith(_TWO_RESULTS) else 1
    writes = {number for numbers in operands.registers[:results] for number in numbers}
    reads = set(operands.flat(results))
    if at.amount_register != NO_REGISTER:
        reads.add(at.amount_register)
    accumulates = name.startswith(_ACCUMULATE) or (
        name == "vmov" and _by_lane(operands) and len(operands.registers[0]) > 1
    )
    if accumulates or (len(operands.registers) == 1 and name not in ("mrs", "vmov")):
        reads |= writes
    if name in ("adc", "sbc") and len(operands.registers) + len(operands.immediates) == 2:
        reads |= writes
    if name in ("adc", "sbc", "rrx", "vsel"):
        reads.add(FLAGS)
    if name in _SETS_GE:
        writes.add(GE)
    if at.sets_flags:
        writes.add(FLAGS)
    return replace(at, operation=Operation.OPAQUE, reads=frozenset(reads), writes=frozenset(writes))
