"""Xtensa: how an ELF for it names code, and where firmware starts."""

from collections.abc import Iterator

from emu.architectures.protocol import Start
from emu.architectures.xtensa.instructions import instruction_size
from emu.elf import Elf
from emu.errors import InputError
from emu.targets import Board

_STACK_TOPS = ("__stack_top", "_stack_top", "__stack", "_init_start_stack_top")


class Xtensa:
    """The LX7's architecture (see ``emu.architectures.protocol.Architecture``)."""

    elf_machine = "EM_XTENSA"

    def code_address(self, value: int) -> int:
        """Return ``value``: addresses are what they are."""
        return value

    def instruction_addresses(self, code: bytes, address: int) -> Iterator[int]:
        """Yield the address of each instruction in ``code``, which begins with one at ``address``."""
        offset = 0
        while offset < len(code):
            yield address + offset
            offset += instruction_size(code[offset])

    def find_start(self, elf: Elf, board: Board) -> Start:
        """Return the ELF's entry, and the stack that its startup code will set: at reset the core knows of none."""
        if not any(section.executable and section.address <= elf.entry < section.end for section in elf.sections):
            raise InputError(f"{elf.path} has its entry at {elf.entry:#010x}, where it has no code")
        tops = [symbol.address for name in _STACK_TOPS if (symbol := elf.symbol(name)) is not None]
        top = next((address for address in tops if address % 16 == 0 and board.has_ram_at(address - 1)), None)
        if top is None:
            raise InputError(
                f"{elf.path} does not say where its stack begins; let its linker script define {_STACK_TOPS[0]}, "
                "a multiple of 16 behind the stack's last byte"
            )
        return Start(elf.entry, top)
