"""The heap: what the firmware asked its allocator for, from the allocator's entries and returns."""

from collections.abc import Iterable
from dataclasses import dataclass

from emu.firmware import Firmware
from emu.native import (
    HEAP_CALLOC,
    HEAP_FREE,
    HEAP_MALLOC,
    HEAP_MEMALIGN,
    HEAP_REALLOC,
    AllocatorEntry,
    HeapEvent,
)
from emu.record import Heap

_FUNCTIONS = {
    "malloc": HEAP_MALLOC,
    "calloc": HEAP_CALLOC,
    "realloc": HEAP_REALLOC,
    "memalign": HEAP_MEMALIGN,
    "aligned_alloc": HEAP_MEMALIGN,
    "free": HEAP_FREE,
}


def allocator_entries(firmware: Firmware) -> list[AllocatorEntry]:
    """Return the entries of the allocator functions that are linked, newlib's reentrant ones among them."""
    entries = {}
    for name, function in _FUNCTIONS.items():
        for symbol, first_argument in ((name, 0), (f"_{name}_r", 1)):
            address = firmware.entry_of(symbol)
            if address is not None:
                entries.setdefault(address, AllocatorEntry(address, function, first_argument))
    return list(entries.values())


@dataclass(frozen=True)
class _Allocation:
    size: int
    call_site: int


class HeapLedger:
    """Replays allocator calls, in order, to what is live."""

    def __init__(self) -> None:
        self._live: dict[int, _Allocation] = {}
        self._live_bytes = self._peak = 0
        self._allocations = self._frees = self._failed = 0
        self._lowest, self._highest = 1 << 32, 0

    def add(self, events: Iterable[HeapEvent]) -> None:
        """Take the next allocator calls into account."""
        for event in events:
            if event.function == HEAP_FREE:
                self._release(event.pointer)
            elif event.function == HEAP_REALLOC and event.pointer and not event.size:
                self._release(event.pointer)  # newlib's realloc(pointer, 0) frees
            elif event.result:
                if event.function == HEAP_REALLOC:
                    self._release(event.pointer)
                self._allocations += 1
                self._lowest, self._highest = min(self._lowest, event.result), max(self._highest, event.result)
                self._live[event.result] = _Allocation(event.size, event.call_site)
                self._live_bytes += event.size
                self._peak = max(self._peak, self._live_bytes)
            elif event.size:
                self._failed += 1

    def lay_in(self, start: int, end: int) -> bool:
        """Return whether the heap may ever have used memory between ``start`` and ``end``."""
        return self._lowest < end and start <= self._highest

    def block_at(self, address: int) -> tuple[int, int] | None:
        """Return start and end of the live block that holds ``address``, or None."""
        blocks = ((start, start + allocation.size) for start, allocation in self._live.items())
        return next(((start, end) for start, end in blocks if start <= address < end), None)

    def _release(self, pointer: int) -> None:
        allocation = self._live.pop(pointer, None)
        if allocation is not None:
            self._frees += 1
            self._live_bytes -= allocation.size

    def measure(self, firmware: Firmware) -> Heap:
        """Return the figures; what is live now is listed as leaks, largest first, by the place that asked."""
        by_site: dict[int, list[int]] = {}
        for allocation in self._live.values():
            by_site.setdefault(allocation.call_site, []).append(allocation.size)
        leaks = [
            {
                **firmware.locate(site - 2).model_dump(),
                "call_site": site,
                "bytes": sum(sizes),
                "allocations": len(sizes),
            }
            for site, sizes in sorted(by_site.items(), key=lambda item: (-sum(item[1]), item[0]))
        ]
        return Heap(
            attached=True,
            peak_live_bytes=self._peak,
            allocations=self._allocations,
            frees=self._frees,
            failed_allocations=self._failed,
            live_at_exit_bytes=self._live_bytes,
            leaks=leaks,
        )
