"""Xtensa instructions as bytes (Xtensa Instruction Set Architecture, 7): those that emu itself writes into memory."""

NOP = bytes.fromhex("f02000")
RSYNC = bytes.fromhex("102000")

_JUMP_REACH = 1 << 17
_LITERAL_REACH = 1 << 18
_SPECIAL = {
    "lcount": 2,
    "excsave6": 214,
    "excsave7": 215,
    "cpenable": 224,
    "ps": 230,
    "vecbase": 231,
}
"""The numbers of special registers."""
_FPU_ALU, _FPU_OTHER = 0xA, 0xB
_ONE_OPERAND = (
    *("mov", "abs", "", "const", "rfr", "wfr", "neg", "div0"),
    *("recip0", "sqrt0", "rsqrt0", "nexp01", "mksadj", "mkdadj", "addexp", "addexpm"),
)
"""The operations of the group FP1OP, by their field t."""
_TWO_OPERANDS = (
    *("add", "sub", "mul", "", "madd", "msub", "maddn", "divn"),
    *("round", "trunc", "floor", "ceil", "float", "ufloat", "utrunc"),
)
"""The operations of the group FP0, by their field op2."""
_COMPARISONS = (
    "",
    "un",
    "oeq",
    "ueq",
    "olt",
    "ult",
    "ole",
    "ule",
    "moveqz",
    "movnez",
    "movltz",
    "movgez",
    "movf",
    "movt",
)
"""The operations of the group FP1, by their field op2."""


def fpu(operation: str, r: int, s: int, t: int = 0) -> bytes:
    """Return an FPU operation on the registers ``r``, ``s`` and ``t``, as the assembler orders them, without ``.s``."""
    if operation in _ONE_OPERAND:
        return _rrr(0xF, _FPU_ALU, r, s, _ONE_OPERAND.index(operation))
    if operation in _TWO_OPERANDS:
        return _rrr(_TWO_OPERANDS.index(operation), _FPU_ALU, r, s, t)
    return _rrr(_COMPARISONS.index(operation), _FPU_OTHER, r, s, t)


def write_special(name: str, t: int) -> bytes:
    """Return WSR: the special register ``name`` gets a ``t``."""
    return bytes((t << 4, _SPECIAL[name], 0x13))


def read_special(name: str, t: int) -> bytes:
    """Return RSR: a ``t`` gets the special register ``name``."""
    return bytes((t << 4, _SPECIAL[name], 0x03))


def write_user(number: int, t: int) -> bytes:
    """Return WUR: the user register ``number`` gets a ``t``."""
    return bytes((t << 4, number, 0xF3))


def move_if_true(r: int, s: int, b: int) -> bytes:
    """Return MOVT: a ``r`` gets a ``s`` if the boolean ``b`` is set."""
    return _rrr(0xD, 0x3, r, s, b)


def move(t: int, value: int) -> bytes:
    """Return MOVI: a ``t`` gets ``value``, of 12 bits."""
    return bytes((t << 4 | 2, 0xA0 | value >> 8 & 0xF, value & 0xFF))


def add(t: int, s: int, value: int) -> bytes:
    """Return ADDI: a ``t`` gets a ``s`` plus ``value``, of 8 bits."""
    return bytes((t << 4 | 2, 0xC0 | s, value & 0xFF))


def load(t: int, s: int, offset: int) -> bytes:
    """Return L32I: a ``t`` gets the word at a ``s`` plus ``offset``."""
    return bytes((t << 4 | 2, 0x20 | s, offset // 4))


def store(t: int, s: int, offset: int) -> bytes:
    """Return S32I: the word at a ``s`` plus ``offset`` gets a ``t``."""
    return bytes((t << 4 | 2, 0x60 | s, offset // 4))


def load_literal(t: int, address: int, literal: int) -> bytes:
    """Return L32R at ``address``: a ``t`` gets the word at ``literal``, which lies before the instruction."""
    offset = literal - (address + 3 & ~3)
    if not -_LITERAL_REACH <= offset < 0 or offset % 4:
        raise ValueError(f"L32R at {address:#010x} does not reach {literal:#010x}")
    return bytes((t << 4 | 1, offset >> 2 & 0xFF, offset >> 10 & 0xFF))


def branch_if_zero(s: int, skipped: int) -> bytes:
    """Return BEQZ: go on after the next ``skipped`` bytes if a ``s`` is 0."""
    offset = skipped - 1
    return bytes((0x16, s | (offset & 0xF) << 4, offset >> 4 & 0xFF))


def reaches(address: int, target: int) -> bool:
    """Return whether J at ``address`` reaches ``target``."""
    return -_JUMP_REACH <= target - address - 4 < _JUMP_REACH


def jump(address: int, target: int) -> bytes:
    """Return J at ``address`` to ``target``; raises ValueError if that is too far."""
    if not reaches(address, target):
        raise ValueError(f"J at {address:#010x} does not reach {target:#010x}")
    return (0x06 | (target - address - 4 & 0x3FFFF) << 6).to_bytes(3, "little")


def _rrr(op2: int, op1: int, r: int, s: int, t: int) -> bytes:
    return bytes((t << 4, r << 4 | s, op2 << 4 | op1))
