"""The heap, replayed from the calls and returns of the firmware's allocator."""

from bisect import bisect_left, bisect_right, insort
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from typing import Any, NamedTuple

from emu.architectures.core import Core
from emu.firmware import Firmware
from emu.native import HEAP_BREAK, HEAP_FREE, HEAP_REALLOC, HEAP_REALLOC_BEGINS
from emu.probes.allocators import why_not_followed
from emu.probes.callers import Callers, CallSite, Capture
from emu.probes.free_memory import FreeMemory, Moment
from emu.probes.heap_faults import Block, HeapFaults
from emu.probes.heap_region import FAILED_BREAK, HeapRegion
from emu.probes.timeline import Maxima
from emu.record import Allocations, FailedAllocations, Fault, Frame, Heap

_MOST_LIVE = 500_000
"""The most live blocks that are followed: more cannot be blocks of a microcontroller's memory."""
_FREED_KEPT = 4096
"""The most freed blocks that are remembered; older ones are forgotten."""


class _Live(NamedTuple):
    size: int
    site: CallSite
    place: int
    """The address of the allocator's own block."""
    is_elsewhere: bool
    """Whether the block is neither in a static variable nor in memory from ``_sbrk``."""


class _Refused(NamedTuple):
    """A call that the allocator refused, and the allocator's memory at that moment."""

    size: int
    live: int
    memory: Moment
    by_sbrk: bool


class _Refusals:
    """The calls from one call site that the allocator refused."""

    def __init__(self, most: _Refused, times: int) -> None:
        self.most, self.times = most, times


class _Level:
    """A number of bytes, and its maximum so far."""

    def __init__(self) -> None:
        self.now = self.peak = 0

    def change(self, by: int) -> None:
        """Add ``by``, which may be negative."""
        self.now += by
        self.peak = max(self.peak, self.now)


class _Composition:
    """Live bytes and blocks by call site, now and at the peak; only sites that changed cost time."""

    def __init__(self) -> None:
        self._at_peak: dict[CallSite, list[int]] = {}
        self._since_peak: dict[CallSite, list[int]] = {}
        self.live = self.peak = 0

    def change(self, site: CallSite, size: int, blocks: int) -> None:
        """Add ``size`` bytes and ``blocks`` blocks to ``site``; both may be negative."""
        since = self._since_peak.setdefault(site, [0, 0])
        since[0] += size
        since[1] += blocks
        self.live += size
        if self.live > self.peak:
            self.peak = self.live
            for changed, (more_bytes, more_blocks) in self._since_peak.items():
                total = self._at_peak.setdefault(changed, [0, 0])
                total[0] += more_bytes
                total[1] += more_blocks
            self._since_peak.clear()

    @property
    def at_peak(self) -> dict[CallSite, tuple[int, int]]:
        """Bytes and blocks of each call site that had live blocks."""
        return {site: (size, blocks) for site, (size, blocks) in self._at_peak.items() if blocks}


class HeapLedger:
    """Replays allocator calls in order, keeps the live blocks, and judges each call.

    If an allocator takes its memory from an array, static RAM already counts that memory. The heap adds all memory from
    ``_sbrk``, and the peak of the blocks in other memory. ``core`` makes frames of the captures.
    """

    def __init__(self, firmware: Firmware, core: Core):
        self._firmware = firmware
        self.callers = Callers(firmware, core)
        """The callers of the allocator."""
        self._why_not_followed = why_not_followed(firmware)
        self._region = HeapRegion(firmware, lambda address: self._live_block(address) is not None)
        self._follows_break = any(firmware.entry_of(name) is not None for name in ("_sbrk", "sbrk", "_sbrk_r"))
        self._judge = HeapFaults(firmware, self.callers)
        self._live: dict[int, _Live] = {}
        self._freed: OrderedDict[int, Block] = OrderedDict()
        self._addresses: list[int] | None = None
        """The addresses of the live blocks, sorted; None until somebody asks which block holds an address."""
        self._memory = FreeMemory()
        self._all = _Composition()
        self._beside_static, self._elsewhere = _Level(), _Level()
        self._is_static = cache(firmware.is_static)
        self.place_of: Callable[[int], int] = lambda address: address
        """The address of the allocator's own block by the program's address; they differ if blocks are moved."""
        self._allocations = self._frees = self._failures = self._without_callers = 0
        self._failed: dict[CallSite, _Refusals] = {}
        self._sbrk_refused = False
        self._arrays: dict[int, int] = {}
        """Start and end of each variable that has held a block."""
        self._lowest, self._highest = 1 << 32, 0
        self._outside_region: int | None = None
        self.timeline = Maxima()

    # ---- following ---------------------------------------------------------------------------------------------------

    def add(self, events: Iterable[Sequence[int]], captures: Iterable[Capture]) -> None:
        """Replay the next allocator calls, from the fields of their events and a capture of each new call path."""
        self.callers.add(captures)
        if self._why_not_followed is not None:
            return
        for function, size, pointer, result, call_site, sp, path, instructions in events:
            site = CallSite(path, call_site)
            if function == HEAP_FREE:
                if pointer:
                    self._free(pointer, site, sp, "free")
            elif function == HEAP_REALLOC_BEGINS:
                if pointer and pointer not in self._live:
                    self._judge_pointer(pointer, site, sp, "realloc")
                continue
            elif function == HEAP_BREAK:
                if self._region.move_break(size, result, sp, site):
                    self._judge.heap_grew_into_stack(self._region.grown_at or site, sp)
                if result in self._region:
                    self._note_place(result)
                self._sbrk_refused |= result == FAILED_BREAK
                continue
            elif result:
                if function == HEAP_REALLOC:
                    self._release(pointer, site)
                self._allocate(result, size, site, sp)
            elif function == HEAP_REALLOC and pointer and not size:
                self._release(pointer, site)  # realloc(pointer, 0) that returns null has freed the block
            elif size:
                self._refuse(size, site)
            self._sbrk_refused = False
            self.timeline.note(instructions, self._all.live)
            if len(self._live) > _MOST_LIVE:
                self._give_up(f"the allocator has more than {_MOST_LIVE:,} live blocks, which are not followed")
                return

    def _give_up(self, why: str) -> None:
        self._why_not_followed = why
        self._live.clear()
        self._memory, self._addresses = FreeMemory(), None

    def meet(self, sp: int, lowest: int, backtrace: Sequence[Frame], heap_end: int) -> bool:
        """Return whether it is a fault that SP fell from ``sp`` to ``lowest``, below the heap's end."""
        if self._why_not_followed is not None or not self._region.is_main_stack(sp):
            return False
        self._judge.stack_grew_into_heap(lowest, backtrace, heap_end, self._region.grown_at)
        return True

    def _allocate(self, address: int, size: int, site: CallSite, sp: int) -> None:
        self._allocations += 1
        before = self._remove(address)
        if before is not None:
            self._count(before, -1)  # two blocks cannot be in one place, so a free was missed
        place = self.place_of(address)
        if place not in self._region:
            self._outside_region = place
            if self._is_static(place) and (array := self._firmware.variable_at(place)) is not None:
                self._arrays[array.address] = array.end
            if not self._follows_break and self._region.add_block(place, size, sp, site):
                self._judge.heap_grew_into_stack(site, sp)
        self._freed.pop(address, None)
        is_elsewhere = place not in self._region and not self._is_static(place)
        live = _Live(size, site, place, is_elsewhere)
        self._insert(address, live)
        self._without_callers += site.path == 0
        self._count(live, 1)
        self._note_place(place)

    def _note_place(self, address: int) -> None:
        self._lowest, self._highest = min(self._lowest, address), max(self._highest, address)

    def _refuse(self, size: int, site: CallSite) -> None:
        self._failures += 1
        self._without_callers += site.path == 0
        refusals = self._failed.get(site)
        if refusals is None or size > refusals.most.size:
            memory = self._memory.note(site, (*self._arrays.items(), *self._region.spans))
            most = _Refused(size, self._all.live, memory, self._sbrk_refused)
            refusals = self._failed[site] = _Refusals(most, 0 if refusals is None else refusals.times)
        refusals.times += 1

    def _free(self, pointer: int, site: CallSite, sp: int, word: str) -> None:
        if pointer in self._live:
            self._release(pointer, site)
        else:
            self._judge_pointer(pointer, site, sp, word)

    def _release(self, pointer: int, site: CallSite) -> None:
        live = self._remove(pointer)
        if live is None:
            return
        self._frees += 1
        self._count(live, -1)
        self._freed[pointer] = Block(pointer, live.size, live.site, site)
        self._freed.move_to_end(pointer)
        if len(self._freed) > _FREED_KEPT:
            self._freed.popitem(last=False)

    def _insert(self, address: int, live: _Live) -> None:
        self._live[address] = live
        self._memory.change(live.place, live.place + live.size)
        if self._addresses is not None:
            insort(self._addresses, address)

    def _remove(self, address: int) -> _Live | None:
        live = self._live.pop(address, None)
        if live is not None:
            self._memory.change(live.place, None)
            if self._addresses is not None:
                del self._addresses[bisect_left(self._addresses, address)]
        return live

    def _count(self, live: _Live, sign: int) -> None:
        self._all.change(live.site, sign * live.size, sign)
        if not self._is_static(live.place):
            self._beside_static.change(sign * live.size)
        if live.is_elsewhere:
            self._elsewhere.change(sign * live.size)

    def _judge_pointer(self, pointer: int, site: CallSite, sp: int, word: str) -> None:
        self._judge.bad_pointer(pointer, site, sp, word, self._freed.get(pointer) or self._live_block(pointer))

    # ---- queries -----------------------------------------------------------------------------------------------------

    @property
    def follows(self) -> bool:
        """Whether the firmware's allocator is known, or the firmware has no allocator."""
        return self._why_not_followed is None

    @property
    def was_used(self) -> bool:
        """Whether the allocator was ever called."""
        return bool(self._allocations or self._failures or self._frees)

    def lay_in(self, start: int, end: int) -> bool:
        """Return whether a block may ever have lain between ``start`` and ``end``."""
        return self._lowest < end and start <= self._highest

    @property
    def memory(self) -> str | None:
        """The memory that the whole heap was in; None if there was no heap, or the heap was in several memories."""
        names = [region.name for region in self._firmware.board.ram if self.lay_in(region.start, region.end)]
        return names[0] if len(names) == 1 else None

    def block_near(self, address: int, distance: int = 0) -> Block | None:
        """Return the block that holds ``address``, else the nearest block, at most ``distance`` bytes away.

        Live blocks come first, then the latest freed blocks.
        """
        for blocks in (self._live_blocks(), reversed(self._freed.values())):
            gaps = ((max(b.address - address, address - b.address - max(b.size, 1) + 1, 0), b) for b in blocks)
            gap, block = min(gaps, key=lambda pair: pair[0], default=(distance + 1, None))
            if gap <= distance:
                return block
        return None

    def describe(self, block: Block) -> str:
        """Return in words the size of a block, and where it was allocated and freed."""
        return self._judge.describe(block)

    def _live_blocks(self) -> Iterable[Block]:
        return (Block(address, live.size, live.site) for address, live in self._live.items())

    def _live_block(self, address: int) -> Block | None:
        if self._addresses is None:
            self._addresses = sorted(self._live)
        index = bisect_right(self._addresses, address)
        start = self._addresses[index - 1] if index else 0
        live = self._live.get(start)
        return Block(start, live.size, live.site) if live is not None and address < start + live.size else None

    # ---- the figures -------------------------------------------------------------------------------------------------

    def measure(self) -> Heap:
        """Return the figures; a figure that cannot be known is None, and ``not_measured`` has the reason."""
        if self._why_not_followed is not None:
            return Heap(attached=False)
        region = None if "heap_region_bytes" in self.not_measured else self._region.size
        live: dict[CallSite, tuple[int, int]] = {}
        for size, site, *_ in self._live.values():
            total, blocks = live.get(site, (0, 0))
            live[site] = total + size, blocks + 1
        return Heap(
            attached=True,
            peak_live_bytes=self._all.peak,
            peak_beside_static_bytes=self._beside_static.peak,
            taken_beside_static_bytes=self._region.bytes_beside_static + self._elsewhere.peak,
            peak=self._by_path(self._all.at_peak),
            heap_region_bytes=region,
            overhead_bytes=region - self._all.peak if region is not None else None,
            allocations=self._allocations,
            frees=self._frees,
            failed_allocations=self._failures,
            failed=self.failed,
            calls_without_callers=self._without_callers,
            live_at_exit_bytes=self._all.live,
            leaks=self._by_path(live),
        )

    @property
    def not_measured(self) -> dict[str, str]:
        """The reason for each figure that cannot be known."""
        if self._why_not_followed is not None:
            return {"heap_peak_bytes": self._why_not_followed}
        if self._outside_region is None:
            return {}
        variable = self._firmware.variable_at(self._outside_region)
        place = f"from `{variable.readable}`" if variable is not None else "from elsewhere"
        reason = f"the allocator takes its memory {place}, not from _sbrk"
        return dict.fromkeys(("heap_region_bytes", "overhead_bytes"), reason)

    @property
    def faults(self) -> list[Fault]:
        """The firmware's mistakes with its heap, in the order of the run."""
        return self._judge.faults

    def _by_path(self, totals: dict[CallSite, tuple[int, int]]) -> list[Allocations]:
        found = []
        for known, sites in self.callers.grouped(sorted(totals, key=lambda site: -totals[site][0])).items():
            size, blocks = (sum(column) for column in zip(*(totals[site] for site in sites), strict=True))
            found.append(Allocations(**self._caller(known), bytes=size, allocations=blocks))
        return sorted(found, key=lambda group: (-group.bytes, group.call_site))

    @property
    def failed(self) -> list[FailedAllocations]:
        """The calls that the allocator refused, by call path, largest first."""
        self._memory.count()
        found = []
        for known, sites in self.callers.grouped(self._failed).items():
            refusals = [self._failed[site] for site in sites]
            most = max((of.most for of in refusals), key=lambda most: most.size)
            found.append(
                FailedAllocations(
                    **self._caller(known),
                    largest_bytes=most.size,
                    failures=sum(of.times for of in refusals),
                    live_bytes=most.live,
                    taken_bytes=most.memory.taken_bytes,
                    free_bytes=most.memory.free_bytes,
                    largest_free_bytes=most.memory.largest_free_bytes,
                    sbrk_refused=most.by_sbrk,
                )
            )
        return sorted(found, key=lambda group: (-group.largest_bytes, group.call_site))

    def _caller(self, site: CallSite) -> dict[str, Any]:
        backtrace = self.callers.backtrace(site)
        place = self._firmware.locate(backtrace[0].pc).model_dump()
        return {**place, "call_site": site.address, "backtrace": backtrace, "task": self.callers.task(site)}
