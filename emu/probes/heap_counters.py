"""The heap by the firmware's own counters (runtime/port/heap.h), for emulators that cannot follow the allocator."""

import struct
from collections.abc import Callable

from emu.firmware import Firmware
from emu.record import Heap

SYMBOL = "emu_heap"
_COUNTERS = struct.Struct("<6I")

NOT_TAKEN = "the firmware's own counters do not tell what the allocator took"
BEYOND_COUNTERS = {
    "heap_region_bytes": NOT_TAKEN,
    "overhead_bytes": NOT_TAKEN,
    "leaks": "the firmware's own counters do not tell who allocated",
}
"""The figures that the firmware's counters do not give, and why."""


def has_heap_counters(firmware: Firmware) -> bool:
    """Return whether ``firmware`` has the counters."""
    symbol = firmware.symbol(SYMBOL)
    return symbol is not None and symbol.size >= _COUNTERS.size


def read_heap_counters(firmware: Firmware, read: Callable[[int, int], bytes]) -> tuple[Heap, str | None] | None:
    """Return the heap as counted by the firmware, and its memory (None if nothing was allocated).

    Return None if the counters contradict each other. They name one block; all blocks are assumed to be in the same
    memory. ``firmware`` must have the counters.
    """
    symbol = firmware.symbol(SYMBOL)
    assert symbol is not None, "has_heap_counters says so"
    live, peak, allocations, frees, failures, block = _COUNTERS.unpack(read(symbol.address, _COUNTERS.size))
    if live > peak or frees > allocations or (peak and not block):
        return None
    region = firmware.board.region_at(block) if allocations else None
    is_counted = not allocations or firmware.is_static(block)
    heap = Heap(
        attached=True,
        peak_live_bytes=peak,
        peak_beside_static_bytes=0 if is_counted else peak,
        taken_beside_static_bytes=0 if is_counted else None,  # headers and rounding come on top of the peak
        allocations=allocations,
        frees=frees,
        failed_allocations=failures,
        live_at_exit_bytes=live,
    )
    return heap, None if region is None else region.name
