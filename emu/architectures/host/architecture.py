"""The build machine's processor: how an ELF for it names code, and where it starts."""

import platform
from collections.abc import Iterator

from emu.architectures.protocol import Start
from emu.elf import FUNCTION, Elf
from emu.targets import Board

_ELF_MACHINES = {"x86_64": "EM_X86_64", "aarch64": "EM_AARCH64"}


class Host:
    """The host's architecture (see ``emu.architectures.protocol.Architecture``)."""

    elf_machine = _ELF_MACHINES.get(platform.machine(), platform.machine())

    def code_address(self, value: int) -> int:
        """Return ``value``: addresses are what they are."""
        return value

    def instruction_addresses(self, code: bytes, address: int) -> Iterator[int]:
        """Yield nothing: no machine counts the host's instructions."""
        del code, address
        yield from ()

    def explain_jump(self, address: int) -> None:
        """Return nothing: a process has no such addresses."""

    def explain_hole(self, address: int) -> None:
        """Return nothing: the operating system maps memory."""

    def code_ranges(self, elf: Elf) -> list[tuple[int, int]]:
        """Return the functions."""
        return [(symbol.address, symbol.end) for symbol in elf.symbols if symbol.kind == FUNCTION and symbol.size]

    def find_start(self, elf: Elf, board: Board) -> Start:
        """Return the ELF's entry; the loader says where the stack is."""
        del board
        return Start(elf.entry, sp=0)
