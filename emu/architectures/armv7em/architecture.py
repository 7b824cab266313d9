"""Armv7E-M: how an ELF for it names code, and where the core starts (Armv7-M Architecture Reference Manual, B1.5.3)."""

import struct
from collections.abc import Iterator

from emu.architectures.armv7em.thumb import instruction_addresses
from emu.architectures.protocol import Start
from emu.elf import Elf
from emu.errors import InputError
from emu.targets import Board

_VECTOR_SECTIONS = (".isr_vector", ".vectors", ".isr_vectors", ".intvecs", ".vector_table", ".isr")
_VECTOR_SYMBOLS = ("g_pfnVectors", "__Vectors", "__isr_vector", "__vectors", "__vector_table", "vector_table")
_NOT_STARTED = "vector table: a stack pointer in RAM and the Thumb address of the reset handler"
_THUMB = 1
# The system address map (Armv7-M Architecture Reference Manual, B3.1).
_PERIPHERALS = range(0x4000_0000, 0x6000_0000)
_SYSTEM = range(0xE000_0000, 0xE010_0000)
_RETURN_VALUES = range(0xF000_0000, 0x1_0000_0000)


class Armv7EM:
    """The Cortex-M7's architecture (see ``emu.architectures.protocol.Architecture``)."""

    elf_machine = "EM_ARM"

    def code_address(self, value: int) -> int:
        """Return ``value`` without the bit that says Thumb."""
        return value & ~_THUMB

    def instruction_addresses(self, code: bytes, address: int) -> Iterator[int]:
        """Yield the address of each instruction in ``code``, whose first one is at ``address``."""
        return instruction_addresses(code, address)

    def explain_jump(self, address: int) -> str | None:
        """Return the meaning of a jump to the LR value of a handler, or to LR's value after reset."""
        if address in _RETURN_VALUES:
            return "a return from the reset handler, or from an exception when none is active"
        return None

    def explain_hole(self, address: int) -> str | None:
        """Return the note of the system address map."""
        if address in _PERIPHERALS:
            return "and no peripheral that its board file knows"
        if address in _SYSTEM:
            return "the core's own peripherals are not emulated"
        return None

    def code_ranges(self, elf: Elf) -> None:
        """Return nothing: the mapping symbols tell code from data."""

    def find_start(self, elf: Elf, board: Board) -> Start:
        """Return the core's start as the vector table gives it."""
        candidates = _vector_tables(elf, board)
        for table in candidates:
            for segment in elf.segments:
                offset = table - segment.address
                if 0 <= offset <= len(segment.data) - 8:
                    sp, pc = struct.unpack_from("<II", segment.data, offset)
                    is_stack = sp % 4 == 0 and board.has_ram_at(sp - 1)
                    if is_stack and pc & _THUMB and _holds_code(elf, board, pc & ~_THUMB):
                        return Start(pc & ~_THUMB, sp, table)
        looked_at = ", ".join(f"{table:#010x}" for table in candidates)
        raise InputError(
            f"{elf.path} does not begin with a {_NOT_STARTED} (looked at {looked_at}); with "
            "--gc-sections the linker drops a table that its script does not KEEP"
        )


def _vector_tables(elf: Elf, board: Board) -> list[int]:
    """Return the addresses at which the vector table may be, the most likely ones first."""
    named = [symbol.address for name in _VECTOR_SYMBOLS if (symbol := elf.symbol(name)) is not None]
    sections = [section.address for section in elf.sections if section.name in _VECTOR_SECTIONS]
    loaded = [segment.address for segment in elf.segments if segment.data]
    in_flash = [address for address in loaded if not board.has_ram_at(address)]
    return list(dict.fromkeys([*named, *sections, min(in_flash or loaded)]))


def _holds_code(elf: Elf, board: Board, address: int) -> bool:
    if not elf.sections:
        region = board.region_at(address)
        return region is not None and region.executable
    return any(section.executable and section.address <= address < section.end for section in elf.sections)
