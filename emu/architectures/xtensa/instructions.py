"""The effect of single Xtensa instructions (Xtensa Instruction Set Architecture, 7)."""

from typing import Literal

_FIRST_NARROW, _FIRST_WIDE = 8, 14
"""The lowest four bits give the size: 3 bytes, 2 from the first number on (density), 4 from the second (wide)."""
_ENTRY = 0x36
_SP = 1

_MSUB = 0x5A
_LOOP, _LOOP_KINDS = 0x76, (8, 9, 10)  # LOOP, LOOPNEZ, LOOPGTZ

_HIGH_PRODUCTS = {0xA2: "MULUH", 0xB2: "MULSH"}
_TENSILICA_EXTENSIONS = (0x4, 0xE, 0xF)

Access = Literal["read", "write"]

_LSAI: dict[int, tuple[Access, int]] = {
    0x0: ("read", 1),  # L8UI
    0x1: ("read", 2),  # L16UI
    0x2: ("read", 4),  # L32I
    0x4: ("write", 1),  # S8I
    0x5: ("write", 2),  # S16I
    0x6: ("write", 4),  # S32I
    0x9: ("read", 2),  # L16SI
    0xB: ("read", 4),  # L32AI
    0xE: ("write", 4),  # S32C1I
    0xF: ("write", 4),  # S32RI
}
"""Instructions of the group LSAI, by their field r."""


def instruction_size(first_byte: int) -> int:
    """Return the bytes of the instruction that begins with ``first_byte``."""
    kind = first_byte & 0xF
    return 3 if kind < _FIRST_NARROW else 2 if kind < _FIRST_WIDE else 4


def is_entry(code: bytes) -> bool:
    """Return whether ``code`` begins with ENTRY, as every function of the windowed ABI does."""
    return code[:1] == bytes([_ENTRY])


def is_windowed_return(code: bytes) -> bool:
    """Return whether ``code`` begins with RETW or RETW.N."""
    return code[:2] == b"\x1d\xf0" or code[:3] == b"\x90\x00\x00"


def is_wait(code: bytes) -> bool:
    """Return whether ``code`` begins with WAITI."""
    return len(code) >= 3 and code[0] & 0x0F == 0 and code[1] & 0xF0 == 0x70 and code[2] == 0


def is_msub(code: bytes) -> bool:
    """Return whether ``code`` begins with MSUB.S."""
    return len(code) >= 3 and code[0] & 0xF == 0 and code[2] == _MSUB


def loop_end(code: bytes, address: int) -> int | None:
    """Return the end of the zero-overhead loop that ``code`` at ``address`` begins; None if ``code`` is no LOOP."""
    is_loop = len(code) >= 3 and code[0] == _LOOP and code[1] >> 4 in _LOOP_KINDS
    return address + 4 + code[2] if is_loop else None


def only_on_silicon(code: bytes) -> str | None:
    """Return the first instruction's name if an ESP32-S3 may have it and QEMU's core lacks it, else None."""
    if len(code) < 3:
        return None
    if code[0] & 0xF == 0 and code[2] in _HIGH_PRODUCTS:
        return _HIGH_PRODUCTS[code[2]]
    return "an EE.* vector instruction" if code[0] & 0xF in _TENSILICA_EXTENSIONS else None


def memory_access(code: bytes) -> tuple[Access, int] | None:
    """Return whether ``code``'s first instruction reads or writes memory, and the bytes; None if neither."""
    if len(code) < 2:
        return None
    kind, r = code[0] & 0xF, code[1] >> 4
    if kind == 0x1 or kind == 0x8:  # L32R, L32I.N
        return "read", 4
    if kind == 0x9:  # S32I.N
        return "write", 4
    if kind == 0x2:
        return _LSAI.get(r)
    if kind == 0x3:  # LSCI: LSI, LSIU and SSI, SSIU
        return ("write" if r & 4 else "read"), 4
    if kind == 0x0 and len(code) >= 3:
        op1, op2 = code[2] & 0xF, code[2] >> 4
        if op1 == 0x9 and op2 in (0, 4):  # L32E, S32E
            return ("write" if op2 else "read"), 4
        if op1 == 0x8:  # LSCX: LSX, LSXU and SSX, SSXU
            return ("write" if op2 & 4 else "read"), 4
    return None


def sets_sp_anew(code: bytes) -> bool:
    """Return whether the first instruction of ``code`` moves or loads another value to a1."""
    if len(code) < 2:
        return False
    kind, t, s, r = code[0] & 0xF, code[0] >> 4, code[1] & 0xF, code[1] >> 4
    if kind == 0xD or kind == 0x8:  # MOV.N, L32I.N
        return t == _SP and (kind == 0x8 or r == 0)
    if kind == 0x2 and r in (0x2, 0xA):  # L32I, MOVI
        return t == _SP
    if kind == 0x0 and len(code) >= 3:  # OR (MOV is an OR)
        return r == _SP and code[2] == 0x20 and _SP not in (s, t)
    return kind == 0x1 and t == _SP  # L32R
