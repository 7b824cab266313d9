"""Who called the allocator: backtraces from the machine at its entry, made when one is asked for."""

import zlib
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from emu.architectures.core import Core
from emu.firmware import Firmware
from emu.record import Frame

MOST_UNWOUND = 500
"""Paths of one list: a backtrace takes a millisecond or two."""


class Capture(NamedTuple):
    """The machine at the allocator's entry."""

    registers: Sequence[int]
    """In the order of ``Core.registers``; the pc is the first instruction of the function that was called."""
    jumped_from: int
    """The address behind the jump to the allocator; 0 where it was called."""
    stack_start: int
    stack: bytes


class CallSite(NamedTuple):
    """A call of the allocator."""

    path: int
    """The number of the call path; 0 where there were too many, and only the caller is known."""
    address: int
    """What the call returns to."""


class Callers:
    """The call paths by their numbers."""

    def __init__(self, firmware: Firmware, core: Core):
        self._firmware, self._core = firmware, core
        self._captures: list[Capture] = []
        """With the stacks compressed: most of them nobody asks for."""
        self._backtraces: dict[int, list[Frame]] = {}

    def add(self, captures: Iterable[Capture]) -> None:
        """Take the next paths."""
        self._captures += [capture._replace(stack=zlib.compress(capture.stack, 1)) for capture in captures]

    def backtrace(self, site: CallSite) -> list[Frame]:
        """Return the frames from the allocator's caller outwards; it may have ended with a jump there (a tail call)."""
        if site.path and site.path not in self._backtraces:
            self._backtraces[site.path] = self._unwind(self._captures[site.path - 1])
        return self._backtraces.get(site.path) or [self._frame(site.address - 2, None)]

    def grouped(self, largest_first: Iterable[CallSite]) -> dict[CallSite, list[CallSite]]:
        """Return one call for all those with the same backtrace, as a path may have several numbers.

        Behind the first ``MOST_UNWOUND`` calls, those from the same place go together, whatever their paths.
        """
        first: dict[tuple[int, ...], CallSite] = {}
        groups: dict[CallSite, list[CallSite]] = {}
        for index, site in enumerate(largest_first):
            known = site if index < MOST_UNWOUND else CallSite(0, site.address)
            key = (site.address, *(frame.pc for frame in self.backtrace(known)))
            groups.setdefault(first.setdefault(key, known), []).append(site)
        return groups

    def _unwind(self, capture: Capture) -> list[Frame]:
        start, stack = capture.stack_start, zlib.decompress(capture.stack)

        def read(address: int, size: int) -> bytes:
            return stack[address - start :][:size] if address >= start else b""

        callers = self._core.backtrace(capture.registers, read)[1:]
        return [*self._jumped_from(capture.jumped_from), *callers]

    def _jumped_from(self, behind: int) -> list[Frame]:
        """Return the frame of a function that ended with a jump to the allocator; a linker's veneer is none."""
        place = self._firmware.locate(behind - 2)
        if not behind or place.function is None or place.function.endswith("_veneer"):
            return []
        return [self._frame(behind - 2, 0)]

    def _frame(self, pc: int, size: int | None) -> Frame:
        return Frame(**self._firmware.locate(pc).model_dump(), pc=pc, frame_bytes=size)
