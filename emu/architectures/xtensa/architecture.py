"""Xtensa: how an ELF for it names code, and where firmware starts."""

import struct
from collections.abc import Iterator

from emu.architectures.protocol import Start
from emu.architectures.xtensa.instructions import instruction_size
from emu.elf import FUNCTION, Elf
from emu.errors import InputError
from emu.targets import Board

_PROPERTIES = ".xt.prop"
_PROPERTY = struct.Struct("<III")  # address, size, flags
_IS_CODE, _UNREACHABLE = 1 << 1, 1 << 3  # binutils, include/elf/xtensa.h
_STACK_TOPS = ("__stack_top", "_stack_top", "__stack", "_init_start_stack_top")


class Xtensa:
    """The LX7's architecture (see ``emu.architectures.protocol.Architecture``)."""

    elf_machine = "EM_XTENSA"

    def code_address(self, value: int) -> int:
        """Return ``value``: addresses carry no mark."""
        return value

    def instruction_addresses(self, code: bytes, address: int) -> Iterator[int]:
        """Yield the address of each instruction in ``code``, whose first one is at ``address``."""
        offset = 0
        while offset < len(code):
            yield address + offset
            offset += instruction_size(code[offset])

    def explain_jump(self, address: int) -> None:
        """Return nothing: code may be at every address."""

    def explain_hole(self, address: int) -> None:
        """Return nothing: each chip has its own address map."""

    def code_ranges(self, elf: Elf) -> list[tuple[int, int]]:
        """Return the code from the assembler's property table, or the functions if the ELF has no such table."""
        table = elf.contents_of(_PROPERTIES)
        if table is None:
            return [(symbol.address, symbol.end) for symbol in elf.symbols if symbol.kind == FUNCTION and symbol.size]
        pieces = {
            (address, address + size)
            for address, size, flags in _PROPERTY.iter_unpack(table)
            if size and flags & _IS_CODE and not flags & _UNREACHABLE
        }
        return sorted(pieces)

    def find_start(self, elf: Elf, board: Board) -> Start:
        """Return the ELF's entry, and the stack that its startup code will set: the core sets none at reset."""
        if not any(section.executable and section.address <= elf.entry < section.end for section in elf.sections):
            raise InputError(f"{elf.path} has its entry at {elf.entry:#010x}, but no code there")
        tops = [symbol.address for name in _STACK_TOPS if (symbol := elf.symbol(name)) is not None]
        top = next((address for address in tops if address % 16 == 0 and board.has_ram_at(address - 1)), None)
        if top is None:
            raise InputError(
                f"{elf.path} does not say where its stack begins; let its linker script define {_STACK_TOPS[0]}, "
                "a multiple of 16, right after the stack's last byte"
            )
        return Start(elf.entry, top)
