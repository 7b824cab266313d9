"""The heap by the firmware's own counters (runtime/port/heap.h), where an emulator cannot follow the allocator."""

import struct
from collections.abc import Callable

from emu.firmware import Firmware
from emu.record import Heap

SYMBOL = "emu_heap"
_COUNTERS = struct.Struct("<6I")

BEYOND_COUNTERS = {
    "heap_region_bytes": "the firmware's own counters do not tell what the allocator took",
    "overhead_bytes": "the firmware's own counters do not tell what the allocator took",
    "leaks": "the firmware's own counters do not tell who allocated",
}
"""What such a heap has no figure of, and why."""


def has_heap_counters(firmware: Firmware) -> bool:
    """Return whether ``firmware`` has them."""
    symbol = firmware.symbol(SYMBOL)
    return symbol is not None and symbol.size >= _COUNTERS.size


def read_heap_counters(firmware: Firmware, read: Callable[[int, int], bytes]) -> tuple[Heap, str | None] | None:
    """Return the heap as the firmware has counted it, and the memory that it is in; None where it is in none.

    Of counters that contradict each other nothing is returned.

    Of the blocks one is known, and all are taken to be where that is. ``firmware`` must have the counters.
    """
    symbol = firmware.symbol(SYMBOL)
    assert symbol is not None, "has_heap_counters says so"
    live, peak, allocations, frees, failures, block = _COUNTERS.unpack(read(symbol.address, _COUNTERS.size))
    if live > peak or frees > allocations or (peak and not block):
        return None
    region = firmware.board.region_at(block) if allocations else None
    beside_static = 0 if firmware.is_static(block) else peak
    heap = Heap(
        attached=True,
        peak_live_bytes=peak,
        peak_beside_static_bytes=beside_static,
        taken_beside_static_bytes=beside_static,
        allocations=allocations,
        frees=frees,
        failed_allocations=failures,
        live_at_exit_bytes=live,
    )
    return heap, None if region is None else region.name
