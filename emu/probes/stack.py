"""The stack: how far it was reserved, and how far it was written."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from emu.architectures.armv7em.thumb import DYNAMIC
from emu.architectures.armv7em.unwind import unwind
from emu.firmware import Firmware
from emu.record import Frame

Read = Callable[[int, int], bytes]
Write = Callable[[int, bytes], None]

_SP = 13

PAINT = 0xC5
"""What RAM holds after reset: not zero, as in real RAM, and as a float (-6328.7) large enough to be noticed."""


class StackPaint:
    """Finds the lowest byte ever written: the unused stack is painted, and what has lost its paint was written.

    A byte that is written with the very value of the paint is missed. With ``write`` the paint changes to its
    complement at each look, so that such a byte is not missed again; it needs memory that is the stack's alone.
    """

    def __init__(self, bottom: int, top: int, read: Read, write: Write | None):
        self._bottom = bottom
        self._read, self._write = read, write
        self._paint = PAINT
        self.lowest = top
        """The lowest address that was written."""

    @classmethod
    def of(cls, firmware: Firmware, read: Read, write: Write) -> "StackPaint | None":
        """Return the paint of the stack that ``firmware`` starts on; None where nothing tells which memory that is."""
        if firmware.stack_limit is None:
            return None
        return cls(firmware.stack_limit, firmware.initial_sp, read, write if firmware.stack_is_reserved else None)

    def look(self) -> None:
        """Note what was written since the last look; the machine must stand still."""
        size = self.lowest - self._bottom
        memory = self._read(self._bottom, size)
        untouched = size - len(memory.lstrip(bytes([self._paint])))
        self.lowest = self._bottom + untouched
        if self._write is not None:
            self._paint ^= 0xFF
            self._write(self._bottom, bytes([self._paint]) * untouched)


@dataclass(frozen=True)
class StackPeak:
    """The machine when a stack was lowest, or some instructions before that."""

    lowest: int
    """The lowest SP."""
    lowered_from: int
    """The address in straight-line code from which on SP came from what ``registers`` have to its lowest."""
    registers: Sequence[int]
    """r0 to r15."""
    stack_start: int
    stack: bytes
    """What is known of the stack's memory."""


def peak_backtrace(firmware: Firmware, peak: StackPeak, delta_at: Callable[[int], int], top: int) -> list[Frame]:
    """Return the frames when a stack, which begins at ``top``, was lowest; their sizes add up to the peak.

    ``delta_at`` tells the change of SP of the instruction at an address.
    """
    if peak.lowest == top:
        return []

    def read(address: int, size: int) -> bytes:
        return peak.stack[address - peak.stack_start :][:size] if address >= peak.stack_start else b""

    return unwind(firmware, list(peak.registers), read, peak.lowest, _lowering_instruction(peak, delta_at), top)


def _lowering_instruction(peak: StackPeak, delta_at: Callable[[int], int]) -> int:
    """Return the address of the instruction that brought SP to its lowest."""
    sp, pc = peak.registers[_SP], peak.lowered_from
    while sp > peak.lowest:
        delta = delta_at(pc)
        if delta == DYNAMIC:
            break
        sp += delta
        if sp <= peak.lowest:
            break
        pc += 2
    return pc
