"""The allocator's callers: backtraces from the machine at the allocator's entry, made on demand."""

import zlib
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from emu.architectures.core import Core
from emu.firmware import Firmware
from emu.record import Frame

MOST_UNWOUND = 500
"""The most paths of a list that get backtraces, as a backtrace takes a millisecond or two."""


MOST_FRAMES = 50_000
"""The most frames of all backtraces together, as a deep stack has thousands."""
MOST_STACK_BYTES = 64 << 20
"""The most bytes of compressed stacks that are kept."""


class Capture(NamedTuple):
    """The machine at the allocator's entry."""

    registers: Sequence[int]
    """Registers in the order of ``Core.registers``; the pc is the first instruction of the called function."""
    jumped_from: int
    """The address after the jump to the allocator; 0 if the allocator was called."""
    stack_start: int
    stack: bytes
    thread: int = 0
    """The number of the thread that made the call, or that the calling handler has interrupted; 0 if unknown."""


class CallSite(NamedTuple):
    """A call of the allocator."""

    path: int
    """The number of the call path; 0 if there were too many paths, so that only the caller is known."""
    address: int
    """The address to which the call returns."""


class Callers:
    """The call paths, by number."""

    def __init__(self, firmware: Firmware, core: Core):
        self._firmware, self._core = firmware, core
        self._captures: list[Capture] = []
        """The captures, with compressed stacks, as most paths are never used."""
        self._backtraces: dict[int, list[Frame]] = {}
        self._kept_bytes = self._frames = 0
        self.task_of: Callable[[int], str | None] = lambda _thread: None
        """Returns the name of a thread by its number; None if it is the one that the firmware starts with."""

    def add(self, captures: Iterable[Capture]) -> None:
        """Add the captures of the next paths."""
        for capture in captures:
            stack = zlib.compress(capture.stack if self._kept_bytes < MOST_STACK_BYTES else b"", 1)
            self._kept_bytes += len(stack)
            self._captures.append(capture._replace(stack=stack))

    def backtrace(self, site: CallSite) -> list[Frame]:
        """Return the frames from the allocator's caller outwards; the caller may have made a tail call."""
        if site.path and site.path not in self._backtraces:
            self._backtraces[site.path] = self._unwind(self._captures[site.path - 1])
            self._frames += len(self._backtraces[site.path])
        return self._backtraces.get(site.path) or [self._frame(site.address - 2, None)]

    def task(self, site: CallSite) -> str | None:
        """Return the task that made the call, or that the calling handler has interrupted."""
        return self.task_of(self._captures[site.path - 1].thread) if site.path else None

    def caller(self, site: CallSite) -> Frame:
        """Return the allocator's caller alone, for which nothing is unwound; the frame's size is not known."""
        jumped = self._jumped_from(self._captures[site.path - 1].jumped_from) if site.path else []
        return jumped[0] if jumped else self._frame(site.address - 2, None)

    def grouped(self, largest_first: Iterable[CallSite]) -> dict[CallSite, list[CallSite]]:
        """Group the calls with equal backtraces under one of them, as a path may have several numbers.

        After the first ``MOST_UNWOUND`` calls, or ``MOST_FRAMES``, all calls from one place are one group.
        """
        first: dict[tuple[int | str | None, ...], CallSite] = {}
        groups: dict[CallSite, list[CallSite]] = {}
        for index, site in enumerate(largest_first):
            unwound = index < MOST_UNWOUND and self._frames < MOST_FRAMES
            known = site if unwound else CallSite(0, site.address)
            key = (site.address, self.task(known), *(frame.pc for frame in self.backtrace(known)))
            groups.setdefault(first.setdefault(key, known), []).append(site)
        return groups

    def _unwind(self, capture: Capture) -> list[Frame]:
        start, stack = capture.stack_start, zlib.decompress(capture.stack)

        def read(address: int, size: int) -> bytes:
            return stack[address - start :][:size] if address >= start else b""

        callers = self._core.backtrace(capture.registers, read)[1:]
        return [*self._jumped_from(capture.jumped_from), *callers]

    def _jumped_from(self, after: int) -> list[Frame]:
        """Return the frame of a function that ended with a jump to the allocator, unless it is a linker's veneer."""
        place = self._firmware.locate(after - 2)
        if not after or place.function is None or place.function.endswith("_veneer"):
            return []
        return [self._frame(after - 2, 0)]

    def _frame(self, pc: int, size: int | None) -> Frame:
        return Frame(**self._firmware.locate(pc).model_dump(), pc=pc, frame_bytes=size)
