"""The heap in Renode, which cannot follow calls: the firmware's own counters, or an empty heap without allocator."""

from collections.abc import Callable
from dataclasses import dataclass, field

from emu.architectures.cores import core_of
from emu.firmware import Firmware
from emu.probes.allocators import allocates, allocator_entries
from emu.probes.heap import HeapLedger
from emu.probes.heap_counters import BEYOND_COUNTERS, NOT_TAKEN, SYMBOL, has_heap_counters, read_heap_counters
from emu.record import Heap

_NO_COUNTERS = (
    "Renode cannot follow the allocator's calls, and the firmware does not count them itself "
    f"(symbol {SYMBOL}, runtime/port/heap.h)"
)
_CONTRADICTION = f"the counters of the firmware (symbol {SYMBOL}, runtime/port/heap.h) contradict each other"
_NO_BREAK = "Renode cannot follow the calls of _sbrk"


@dataclass(frozen=True)
class MeasuredHeap:
    """The heap, its memory (None if there is no heap), and the reasons for unknown figures."""

    heap: Heap
    region: str | None = None
    not_measured: dict[str, str] = field(default_factory=dict)


def measure_heap(firmware: Firmware, read: Callable[[int, int], bytes]) -> MeasuredHeap:
    """Return the known part of the heap; ``read`` returns memory."""
    if has_heap_counters(firmware):
        counted = read_heap_counters(firmware, read)
        if counted is None:
            return MeasuredHeap(Heap(attached=False), not_measured={"heap_peak_bytes": _CONTRADICTION})
        heap, region = counted
        no_sum = {} if heap.taken_beside_static_bytes is not None else {"ram_peak_bytes": NOT_TAKEN}
        return MeasuredHeap(heap, region, BEYOND_COUNTERS | no_sum)
    if allocates(firmware):
        return MeasuredHeap(Heap(attached=False), not_measured={"heap_peak_bytes": _NO_COUNTERS})
    ledger = HeapLedger(firmware, core_of(firmware))
    heap = ledger.measure()
    if heap.attached and allocator_entries(firmware):
        unknown = ("heap_region_bytes", "overhead_bytes")
        heap = heap.model_copy(update=dict.fromkeys(unknown))
        return MeasuredHeap(heap, not_measured=dict.fromkeys(unknown, _NO_BREAK))
    return MeasuredHeap(heap, not_measured=ledger.not_measured)
