"""Thumb-2 instructions: their sizes, and how one changes the stack pointer."""

from collections.abc import Iterator
from typing import NamedTuple

WAITS = {0xBF30: "WFI", 0xBF20: "WFE"}
"""Names of the instructions that wait for an interrupt, by their halfword."""

DYNAMIC = -(2**31)
"""The change of SP is known only after the instruction (alloca, a load into SP, a conditional push)."""


class StackEffect(NamedTuple):
    """One instruction that changes SP: by ``delta`` bytes, or ``DYNAMIC``."""

    address: int
    size: int
    operands: str
    delta: int
    anew: bool
    """Whether the new SP is not computed from the old SP: another stack, or a saved value."""

    @property
    def following(self) -> int:
        """The address after the instruction."""
        return self.address + self.size

    @property
    def saved_registers(self) -> tuple[str, ...]:
        """The registers that a push stores, lowest address first; empty for any other instruction."""
        if self.delta >= 0 or "{" not in self.operands:
            return ()
        return tuple(self.operands[self.operands.index("{") + 1 : -1].split(", "))


def instruction_size(first_halfword: int) -> int:
    """Return the bytes, 2 or 4, of the Thumb instruction that begins with ``first_halfword``."""
    return 4 if first_halfword >> 11 >= 0b11101 else 2


def instruction_addresses(code: bytes, address: int) -> Iterator[int]:
    """Yield the address of each instruction in ``code``, whose first one is at ``address``."""
    offset = 0
    while offset < len(code):
        yield address + offset
        offset += instruction_size(int.from_bytes(code[offset : offset + 2], "little"))


def is_call(code: bytes, address: int, target: int) -> bool:
    """Return whether the four bytes ``code`` at ``address`` are a BL to ``target`` (DDI 0403E, A7.7.18)."""
    first, second = int.from_bytes(code[:2], "little"), int.from_bytes(code[2:4], "little")
    if first >> 11 != 0b11110 or second & 0xD000 != 0xD000:
        return False
    sign, j1, j2 = first >> 10 & 1, second >> 13 & 1, second >> 11 & 1
    high = sign << 24 | (j1 ^ sign ^ 1) << 23 | (j2 ^ sign ^ 1) << 22
    offset = (high | (first & 0x3FF) << 12 | (second & 0x7FF) << 1) - (sign << 25)
    return (address + 4 + offset) & 0xFFFF_FFFF == target
