"""Who called the allocator: backtraces from the machine at its entry, made when one is asked for."""

from collections import deque
from collections.abc import Iterable
from typing import NamedTuple

from emu.firmware import Firmware
from emu.record import Frame
from emu.unwind import unwind

_KEPT_BYTES = 32 << 20
"""Of stacks that nobody has asked for yet: what is over is unwound, which takes time and then little memory."""


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
        self._captures: list[tuple[list[int], bytes] | None] = []
        self._backtraces: dict[int, list[Frame]] = {}
        self._kept: deque[int] = deque()
        self._kept_bytes = 0

    def add(self, captures: Iterable[tuple[list[int], bytes]]) -> None:
        """Take the next paths: r0 to r15 at the allocator's entry, and the stack's bytes from SP on."""
        for registers, stack in captures:
            self._captures.append((registers, stack))
            self._kept.append(len(self._captures))
            self._kept_bytes += len(stack)
            while self._kept_bytes > _KEPT_BYTES:
                self._resolve(self._kept.popleft())

    def backtrace(self, site: CallSite) -> list[Frame]:
        """Return the frames from the allocator's caller outwards."""
        if not site.path:
            pc = site.address - 2
            return [Frame(**self._firmware.locate(pc).model_dump(), pc=pc, frame_bytes=None)]
        return self._resolve(site.path)

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
            registers, stack = capture
            self._captures[path - 1] = None
            self._kept_bytes -= len(stack)
            sp, pc = registers[13], registers[15]

            def read(address: int, size: int) -> bytes:
                return stack[address - sp :][:size] if address >= sp else b""

            self._backtraces[path] = unwind(self._firmware, registers, read, sp, pc)[1:]
        return self._backtraces[path]
