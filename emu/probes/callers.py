"""Who called the allocator: backtraces from the machine at its entry, made when one is asked for."""

from collections import deque
from collections.abc import Iterable
from typing import NamedTuple

from emu.firmware import Firmware
from emu.record import Frame
from emu.unwind import unwind

_KEPT_BYTES = 32 << 20
"""Of stacks that nobody has asked for yet: what is over is unwound, which takes time and then little memory."""

Capture = tuple[list[int], int, bytes]
"""The machine at the allocator's entry: r0 to r15, the address behind the jump to it (0 where it was called), and the
stack's bytes from SP on."""


class CallSite(NamedTuple):
    """A call of the allocator."""

    path: int
    """The number of the call path, or 0 where there were too many."""
    address: int
    """What the call returns to."""


class Callers:
    """The call paths by their numbers."""

    def __init__(self, firmware: Firmware):
        self._firmware = firmware
        self._captures: list[Capture | None] = []
        self._backtraces: dict[int, list[Frame]] = {}
        self._kept: deque[int] = deque()
        self._kept_bytes = 0

    def add(self, captures: Iterable[Capture]) -> None:
        """Take the next paths."""
        for capture in captures:
            self._captures.append(capture)
            self._kept.append(len(self._captures))
            self._kept_bytes += len(capture[2])
            while self._kept_bytes > _KEPT_BYTES:
                self._resolve(self._kept.popleft())

    def backtrace(self, site: CallSite) -> list[Frame]:
        """Return the frames from the allocator's caller outwards; it may have ended with a jump there (a tail call)."""
        return (self._resolve(site.path) if site.path else []) or [self._frame(site.address - 2, None)]

    def grouped(self, sites: Iterable[CallSite]) -> list[list[CallSite]]:
        """Return the calls with those together that have the same backtrace: a path may have several numbers."""
        groups: dict[tuple[int, ...], list[CallSite]] = {}
        for site in sites:
            key = (site.address, *(frame.pc for frame in self.backtrace(site)))
            groups.setdefault(key, []).append(site)
        return list(groups.values())

    def _resolve(self, path: int) -> list[Frame]:
        capture = self._captures[path - 1]
        if capture is not None:
            registers, jumped_from, stack = capture
            self._captures[path - 1] = None
            self._kept_bytes -= len(stack)
            sp, pc = registers[13], registers[15]

            def read(address: int, size: int) -> bytes:
                return stack[address - sp :][:size] if address >= sp else b""

            callers = unwind(self._firmware, registers, read, sp, pc)[1:]
            self._backtraces[path] = [*self._jumped_from(jumped_from), *callers]
        return self._backtraces[path]

    def _jumped_from(self, behind: int) -> list[Frame]:
        """Return the frame of a function that ended with a jump to the allocator; a linker's veneer is none."""
        place = self._firmware.locate(behind - 2)
        if not behind or place.function is None or place.function.endswith("_veneer"):
            return []
        return [self._frame(behind - 2, 0)]

    def _frame(self, pc: int, size: int | None) -> Frame:
        return Frame(**self._firmware.locate(pc).model_dump(), pc=pc, frame_bytes=size)
