"""The stack's paint: how much of the stack's memory was written."""

from collections.abc import Callable

from emu.filler import PAINT
from emu.firmware import Firmware

Read = Callable[[int, int], bytes]
Write = Callable[[int, bytes], None]


class StackPaint:
    """Finds the lowest byte ever written: the unused stack is painted, and a byte without its paint was written.

    A byte written with the paint's own value is missed. With ``write``, each look replaces the paint by its complement.
    So a later write of that value is found; this needs memory that belongs to the stack alone.
    """

    def __init__(self, bottom: int, top: int, read: Read, write: Write | None):
        self._bottom = bottom
        self._read, self._write = read, write
        self._paint = PAINT
        self.lowest = top
        """The lowest address that was written."""

    @classmethod
    def of(cls, firmware: Firmware, read: Read, write: Write) -> "StackPaint | None":
        """Return the paint of the stack that ``firmware`` starts on; None if the stack's memory is not known."""
        if firmware.stack_limit is None:
            return None
        return cls(firmware.stack_limit, firmware.initial_sp, read, write if firmware.stack_is_reserved else None)

    def look(self) -> None:
        """Note the bytes written since the last look; the machine must be stopped."""
        size = self.lowest - self._bottom
        memory = self._read(self._bottom, size)
        untouched = size - len(memory.lstrip(bytes([self._paint])))
        self.lowest = self._bottom + untouched
        if self._write is not None:
            self._paint ^= 0xFF
            self._write(self._bottom, bytes([self._paint]) * untouched)
