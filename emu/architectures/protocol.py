"""What the harness asks of a processor's architecture."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from emu.elf import Elf
from emu.targets import Board


@dataclass(frozen=True)
class Start:
    """The core's first instruction, and where its stack begins: SP points behind it."""

    pc: int
    sp: int
    """0 where a loader chooses it."""
    vector_table: int | None = None
    """The address of the table that the core reads both from; None where it has none."""


class Architecture(Protocol):
    """One kind of processor."""

    elf_machine: str
    """What an ELF for it says it is for."""

    def code_address(self, value: int) -> int:
        """Return the address of the instruction that the symbol or pointer ``value`` leads to."""
        ...

    def instruction_addresses(self, code: bytes, address: int) -> Iterator[int]:
        """Yield the address of each instruction in ``code``, which begins with one at ``address``."""
        ...

    def find_start(self, elf: Elf, board: Board) -> Start:
        """Return where ``elf`` starts on ``board``; raises InputError, in one line, where nothing tells."""
        ...

    def explain_jump(self, address: int) -> str | None:
        """Return what a jump to ``address`` means that is no address of code; None if nothing special."""
        ...

    def explain_hole(self, address: int) -> str | None:
        """Return what the address map says of ``address``, at which a board has nothing; None if nothing."""
        ...

    def code_ranges(self, elf: Elf) -> list[tuple[int, int]] | None:
        """Return start and end of each piece of code; None where mapping symbols ($t and $d) tell code from data."""
        ...
