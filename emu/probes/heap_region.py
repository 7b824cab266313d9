"""The memory that the heap grows in: how far ``_sbrk`` brought it, and whether it met the stack."""

from collections.abc import Callable

from emu.firmware import Firmware
from emu.probes.callers import CallSite

FAILED_BREAK = 0xFFFF_FFFF
"""What ``_sbrk`` returns if it has no more."""


class HeapRegion:
    """Where the heap ends, and who brought it there. ``is_block`` tells whether an address is in a live block."""

    def __init__(self, firmware: Firmware, is_block: Callable[[int], bool]):
        self._firmware, self._is_block = firmware, is_block
        self._first, self._break, self._highest = FAILED_BREAK, 0, 0
        self.grown_at: CallSite | None = None
        """The call that last made the heap end higher than ever."""

    @property
    def size(self) -> int:
        """Bytes from the first break to the highest; 0 where ``_sbrk`` never gave any."""
        return max(0, self._highest - self._first)

    @property
    def spans(self) -> list[tuple[int, int]]:
        """Start and end of what ``_sbrk`` has given now, if it has given any."""
        return [(self._first, self._break)] if self.size else []

    @property
    def bytes_beside_static(self) -> int:
        """The same, or 0 if ``_sbrk`` gives from a static variable, which static RAM has already."""
        return 0 if self._firmware.is_static(self._first) else self.size

    def __contains__(self, address: int) -> bool:
        return self._first <= address < self._highest

    def move_break(self, increment: int, before: int, sp: int, site: CallSite) -> bool:
        """Take a call of ``_sbrk`` into account; return whether it gave away memory of the stack in use."""
        if before == FAILED_BREAK:
            return False
        after = before + (increment if increment < 1 << 31 else increment - (1 << 32))
        self._first, self._break = min(self._first, before), after
        return self._grow(before, after, sp, site)

    def add_block(self, start: int, size: int, sp: int, site: CallSite) -> bool:
        """Take a block into account that came without ``_sbrk``; return the same."""
        return self._grow(start, start + size, sp, site)

    def _grow(self, start: int, end: int, sp: int, site: CallSite) -> bool:
        if end > self._highest:
            self._highest, self.grown_at = end, site
        return start < self._firmware.initial_sp and end > sp and self.is_main_stack(sp)

    def is_main_stack(self, sp: int) -> bool:
        """Return whether SP is on the firmware's own stack, and not on one that is made in the heap or a variable."""
        firmware = self._firmware
        if not firmware.stack_region.start < sp <= firmware.initial_sp or self._is_block(sp - 1):
            return False
        return firmware.variable_at(sp - 1) in (None, firmware.variable_at(firmware.initial_sp - 1))
