"""The questions that the harness asks a processor's architecture."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from emu.elf import Elf
from emu.targets import Board


@dataclass(frozen=True)
class Start:
    """The core's first instruction and its first SP, which is the address after the stack's last byte."""

    pc: int
    sp: int
    """0 if a loader chooses it."""
    vector_table: int | None = None
    """The address of the table from which the core reads both; None if the core reads no table."""


class Architecture(Protocol):
    """One kind of processor."""

    elf_machine: str
    """The machine in the header of an ELF for this architecture."""

    def code_address(self, value: int) -> int:
        """Return the address of the instruction to which the symbol or pointer ``value`` points."""
        ...

    def instruction_addresses(self, code: bytes, address: int) -> Iterator[int]:
        """Yield the address of each instruction in ``code``, which begins with one at ``address``."""
        ...

    def find_start(self, elf: Elf, board: Board) -> Start:
        """Return where ``elf`` starts on ``board``; raises InputError if the ELF does not tell."""
        ...

    def explain_jump(self, address: int) -> str | None:
        """Return what a jump to ``address`` means to the core; None if ``address`` has no special meaning."""
        ...

    def explain_hole(self, address: int) -> str | None:
        """Return the address map's note on ``address``, where a board has nothing; None if there is no note."""
        ...

    def code_ranges(self, elf: Elf) -> list[tuple[int, int]] | None:
        """Return start and end of each piece of code; None if mapping symbols ($t, $d) tell code from data."""
        ...
