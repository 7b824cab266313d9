"""The memory that the heap grows into: its end as moved by ``_sbrk``, and whether it met the stack."""

from collections.abc import Callable

from emu.firmware import Firmware
from emu.probes.callers import CallSite

FAILED_BREAK = 0xFFFF_FFFF
"""The result of ``_sbrk`` if it has no more memory."""


class HeapRegion:
    """The heap's end, and the call that moved it there. ``is_block`` tells whether an address is in a live block."""

    def __init__(self, firmware: Firmware, is_block: Callable[[int], bool]):
        self._firmware, self._is_block = firmware, is_block
        self._first, self._break, self._highest = FAILED_BREAK, 0, 0
        self.grown_at: CallSite | None = None
        """The call that raised the heap's end to its highest."""

    @property
    def size(self) -> int:
        """Bytes from the first break to the highest; 0 if ``_sbrk`` never gave memory."""
        return max(0, self._highest - self._first)

    @property
    def spans(self) -> list[tuple[int, int]]:
        """Start and end of the memory that ``_sbrk`` has given now; empty if there is none."""
        return [(self._first, self._break)] if self.size else []

    @property
    def bytes_beside_static(self) -> int:
        """The bytes to add to static RAM: 0 if ``_sbrk`` takes its memory from a static variable."""
        return 0 if self._firmware.is_static(self._first) else self.size

    def __contains__(self, address: int) -> bool:
        return self._first <= address < self._highest

    def move_break(self, increment: int, before: int, sp: int, site: CallSite) -> bool:
        """Note a call of ``_sbrk``; return whether it returned memory that the stack uses."""
        if before == FAILED_BREAK:
            return False
        after = before + (increment if increment < 1 << 31 else increment - (1 << 32))
        self._first, self._break = min(self._first, before), after
        return self._grow(before, after, sp, site)

    def add_block(self, start: int, size: int, sp: int, site: CallSite) -> bool:
        """Note a block that does not come from ``_sbrk``; return whether the stack uses its memory."""
        return self._grow(start, start + size, sp, site)

    def _grow(self, start: int, end: int, sp: int, site: CallSite) -> bool:
        if end > self._highest:
            self._highest, self.grown_at = end, site
        return start < self._firmware.initial_sp and end > sp and self.is_main_stack(sp)

    def is_main_stack(self, sp: int) -> bool:
        """Return whether SP is on the stack that the firmware starts on, not on one in the heap or a variable."""
        firmware = self._firmware
        if not firmware.stack_region.start < sp <= firmware.initial_sp or self._is_block(sp - 1):
            return False
        return firmware.variable_at(sp - 1) in (None, firmware.variable_at(firmware.initial_sp - 1))
