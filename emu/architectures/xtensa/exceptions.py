"""The meaning of an Xtensa core's exceptions, by EXCCAUSE (Xtensa Instruction Set Architecture, table 4-64)."""

import struct
from typing import NamedTuple

from emu.architectures.access import describe_access
from emu.architectures.core import Memory
from emu.architectures.xtensa.instructions import (
    instruction_size,
    is_entry,
    is_windowed_return,
    memory_access,
    only_on_silicon,
)
from emu.firmware import Firmware

UNSERVED = "unexpected_exception"
"""The place in our own startup code for exceptions without a handler."""
_RECORD = "emu_exception"
_UNSERVED = struct.Struct("<5I")
_LEVELS = {0x180: 2, 0x1C0: 3, 0x200: 4, 0x240: 5, 0x2C0: 7}
"""Interrupt levels by the vectors' offsets from VECBASE; the windows' vectors come first."""

_ILLEGAL, _SYSCALL, _FETCH_ERROR, _LEVEL_1_INTERRUPT, _DIVISION_BY_ZERO = 0, 1, 2, 4, 6
_PRIVILEGED, _ALIGNMENT = 8, 9
_COPROCESSORS = range(32, 40)
_FETCHES = (_FETCH_ERROR, 12, 14, 16, 17, 18, 20)
_ACCESSES = (3, 13, 15, 24, 25, 26, 28, 29)


class Unserved(NamedTuple):
    """The record that our own startup code writes before it goes to ``UNSERVED``."""

    vector: int
    cause: int
    pc: int
    address: int
    double_pc: int

    @property
    def level(self) -> int:
        """The interrupt's level; 1 for an exception."""
        return _LEVELS.get(self.vector, 1)


def read_unserved(firmware: Firmware, read: Memory) -> Unserved | None:
    """Return the record; None if the startup code is not ours."""
    record = firmware.symbol(_RECORD)
    words = b"" if record is None else read(record.address, _UNSERVED.size)
    return Unserved(*_UNSERVED.unpack(words)) if words else None


def is_jump(cause: int) -> bool:
    """Return whether the exception is a failed fetch."""
    return cause in _FETCHES


def describe_exception(firmware: Firmware, cause: int, vaddr: int, pc: int, code: bytes) -> tuple[str, str, int | None]:
    """Return the fault's kind, a sentence, and the faulting address.

    ``vaddr`` is EXCVADDR, ``code`` are the bytes at ``pc``.
    """
    kind, detail, address = _describe(firmware, cause, vaddr, pc, code)
    return kind, f"{detail} (EXCCAUSE {cause}, EPC1 {pc:#010x}, EXCVADDR {vaddr:#010x})", address


def _describe(firmware: Firmware, cause: int, vaddr: int, pc: int, code: bytes) -> tuple[str, str, int | None]:
    board = firmware.board
    if cause in _FETCHES:
        return *describe_access(board, "fetch", pc, 3), pc
    if cause in _ACCESSES:
        access, size = memory_access(code) or ("read", 4)
        return *describe_access(board, access, vaddr, size), vaddr
    if cause == _ILLEGAL and (known := only_on_silicon(code)) is not None:
        detail = f"the ESP32-S3 has {known} ({code.hex(' ')}), the emulated core has not; build without it"
        if known.startswith("MUL"):
            detail += ", as built by the GCC of `emu toolchain install xtensa`"
        return "invalid_instruction", detail, None
    if cause == _ILLEGAL:
        if is_entry(code):
            return "invalid_instruction", "ENTRY while windows are off: PS.WOE is clear, or PS.EXCM is set", None
        if is_windowed_return(code):
            detail = "RETW, but a0 is not what CALL4, CALL8 or CALL12 left there, or windows are off (PS)"
            return "invalid_instruction", detail, None
        shown = code[: instruction_size(code[0])] if code else code
        return "invalid_instruction", f"the core does not know the instruction {shown.hex(' ')}", None
    if cause == _DIVISION_BY_ZERO:
        return "exception", "a division by zero", None
    if cause == _ALIGNMENT:
        return "exception", "an unaligned access by an instruction that needs an aligned one", vaddr
    if cause == _PRIVILEGED:
        return "exception", "a privileged instruction outside ring 0", None
    if cause in _COPROCESSORS:
        which = cause - _COPROCESSORS.start
        return "exception", f"coprocessor {which} is used before it is enabled (CPENABLE); 0 is the FPU", None
    if cause == _SYSCALL:
        return "exception", "SYSCALL, which nothing in the firmware serves", None
    if cause == _LEVEL_1_INTERRUPT:
        return "exception", "an interrupt of level 1, which nothing in the firmware serves", None
    return "exception", f"the core has taken an exception of cause {cause}", None
