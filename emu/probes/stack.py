"""The stack: how far it was reserved, and how far it was written."""

from collections.abc import Callable

from emu.architectures.armv7em.thumb import DYNAMIC
from emu.architectures.armv7em.unwind import unwind
from emu.firmware import Firmware
from emu.native import Snapshot
from emu.record import Frame

Read = Callable[[int, int], bytes]
Write = Callable[[int, bytes], None]

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


def peak_backtrace(
    firmware: Firmware, snapshot: Snapshot, delta_at: Callable[[int], int], floor: int, top: int
) -> list[Frame]:
    """Return the frames when a stack was lowest; their sizes add up to the peak.

    ``delta_at`` tells the change of SP of the instruction at an address; the stack begins at ``top``, and of what is
    below ``floor`` the snapshot holds nothing.
    """
    if snapshot.lowest == top:
        return []
    start = max(snapshot.registers[13], floor)
    memory = bytes(snapshot.stack[: max(0, top - start)])

    def read(address: int, size: int) -> bytes:
        return memory[address - start :][:size] if address >= start else b""

    at = _lowering_instruction(snapshot, delta_at)
    return unwind(firmware, list(snapshot.registers), read, snapshot.lowest, at, top)


def _lowering_instruction(snapshot: Snapshot, delta_at: Callable[[int], int]) -> int:
    """Return the address of the instruction that brought SP to its lowest."""
    pc, sp = snapshot.pc, snapshot.registers[13]
    while sp > snapshot.lowest:
        delta = delta_at(pc)
        if delta == DYNAMIC:
            break
        sp += delta
        if sp <= snapshot.lowest:
            break
        pc += 2
    return pc
