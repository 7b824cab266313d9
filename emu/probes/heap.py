"""The heap: what the firmware asked its allocator for, replayed from the allocator's entries and returns."""

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any, NamedTuple

from emu.architectures.core import Core
from emu.firmware import Firmware
from emu.native import HEAP_BREAK, HEAP_FREE, HEAP_REALLOC, HEAP_REALLOC_BEGINS
from emu.probes.allocators import why_not_followed
from emu.probes.callers import Callers, CallSite, Capture
from emu.probes.heap_faults import Block, HeapFaults
from emu.probes.heap_region import FAILED_BREAK, HeapRegion
from emu.probes.timeline import Maxima
from emu.record import Allocations, FailedAllocations, Fault, Frame, Heap

_FREED_KEPT = 4096
"""Blocks whose end is remembered, the latest ones."""


class _Live(NamedTuple):
    size: int
    site: CallSite
    is_elsewhere: bool
    """Whether it lies neither in a static variable nor in what ``_sbrk`` gave."""


class _Refused(NamedTuple):
    """A call that the allocator refused, and what it had then."""

    size: int
    live: int
    pieces: list[int]
    """Of free memory."""
    by_sbrk: bool


class _Refusals:
    """What the allocator refused to one call site."""

    def __init__(self, most: _Refused, times: int) -> None:
        self.most, self.times = most, times


class _Level:
    """A number of bytes, and the most that it ever was."""

    def __init__(self) -> None:
        self.now = self.peak = 0

    def change(self, by: int) -> None:
        """Add ``by``, which may be negative."""
        self.now += by
        self.peak = max(self.peak, self.now)


class _Composition:
    """Live bytes and blocks by call site, now and at the peak, without ever going through all of them."""

    def __init__(self) -> None:
        self._at_peak: dict[CallSite, list[int]] = {}
        self._since_peak: dict[CallSite, list[int]] = {}
        self.live = self.peak = 0

    def change(self, site: CallSite, size: int, blocks: int) -> None:
        """Take into account that ``site`` has ``size`` bytes and ``blocks`` blocks more, or less."""
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
        """Bytes and blocks of each call site that had any."""
        return {site: (size, blocks) for site, (size, blocks) in self._at_peak.items() if blocks}


class HeapLedger:
    """Replays allocator calls, in order, to what is live, and judges them on the way.

    The static RAM of firmware whose allocator takes its memory from an array has that memory already. The heap adds
    all that ``_sbrk`` gave, and the peak of the blocks that lie elsewhere. ``core`` makes frames of the captures.
    """

    def __init__(self, firmware: Firmware, core: Core):
        self._firmware = firmware
        self._callers = Callers(firmware, core)
        self._why_not_followed = why_not_followed(firmware)
        self._region = HeapRegion(firmware, lambda address: self._live_block(address) is not None)
        self._follows_break = any(firmware.entry_of(name) is not None for name in ("_sbrk", "sbrk", "_sbrk_r"))
        self._judge = HeapFaults(firmware, self._callers)
        self._live: dict[int, _Live] = {}
        self._freed: OrderedDict[int, Block] = OrderedDict()
        self._all = _Composition()
        self._beside_static, self._elsewhere = _Level(), _Level()
        self._is_static = cache(firmware.is_static)
        self._allocations = self._frees = self._failures = 0
        self._failed: dict[CallSite, _Refusals] = {}
        self._sbrk_refused = False
        self._arrays: dict[int, int] = {}
        """Start and end of each variable that a block was in."""
        self._lowest, self._highest = 1 << 32, 0
        self._outside_region: int | None = None
        self.timeline = Maxima()

    # ---- following ---------------------------------------------------------------------------------------------------

    def add(self, events: Iterable[Sequence[int]], captures: Iterable[Capture]) -> None:
        """Take the next allocator calls into account: their fields, and the machine on each new call path to them."""
        self._callers.add(captures)
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
                self._sbrk_refused = result == FAILED_BREAK
                continue
            elif result:
                if function == HEAP_REALLOC:
                    self._release(pointer, site)
                self._allocate(result, size, site, sp)
            elif function == HEAP_REALLOC and pointer and not size:
                self._release(pointer, site)  # realloc(pointer, 0) that returns nothing has freed
            elif size:
                self._refuse(size, site)
            self._sbrk_refused = False
            self.timeline.note(instructions, self._all.live)

    def meet(self, sp: int, lowest: int, backtrace: Sequence[Frame], heap_end: int) -> bool:
        """Judge that SP came down from ``sp`` to ``lowest``, below the heap's end; return whether that is a fault."""
        if self._why_not_followed is not None or not self._region.is_main_stack(sp):
            return False
        self._judge.stack_grew_into_heap(lowest, backtrace, heap_end, self._region.grown_at)
        return True

    def _allocate(self, address: int, size: int, site: CallSite, sp: int) -> None:
        self._allocations += 1
        before = self._live.pop(address, None)
        if before is not None:
            self._count(address, before, -1)  # nobody saw it freed; two blocks cannot be in one place
        if address not in self._region:
            self._outside_region = address
            if self._is_static(address) and (array := self._firmware.variable_at(address)) is not None:
                self._arrays[array.address] = array.end
            if not self._follows_break and self._region.add_block(address, size, sp, site):
                self._judge.heap_grew_into_stack(site, sp)
        self._freed.pop(address, None)
        is_elsewhere = address not in self._region and not self._is_static(address)
        self._live[address] = live = _Live(size, site, is_elsewhere)
        self._count(address, live, 1)
        self._note_place(address)

    def _note_place(self, address: int) -> None:
        self._lowest, self._highest = min(self._lowest, address), max(self._highest, address)

    def _refuse(self, size: int, site: CallSite) -> None:
        self._failures += 1
        refusals = self._failed.get(site)
        if refusals is None or size > refusals.most.size:
            most = _Refused(size, self._all.live, self._free_pieces(), self._sbrk_refused)
            refusals = self._failed[site] = _Refusals(most, 0 if refusals is None else refusals.times)
        refusals.times += 1

    def _free_pieces(self) -> list[int]:
        """Return the bytes of each piece beside the live blocks, in the memory that the allocator is known to have."""
        blocks = sorted((address, address + live.size) for address, live in self._live.items())
        pieces = []
        for start, end in (*self._arrays.items(), *self._region.spans):
            behind = start
            for first, last in blocks:
                if start <= first < end:
                    pieces.append(max(0, first - behind))
                    behind = last
            pieces.append(max(0, end - behind))
        return pieces

    def _free(self, pointer: int, site: CallSite, sp: int, word: str) -> None:
        if pointer in self._live:
            self._release(pointer, site)
        else:
            self._judge_pointer(pointer, site, sp, word)

    def _release(self, pointer: int, site: CallSite) -> None:
        live = self._live.pop(pointer, None)
        if live is None:
            return
        self._frees += 1
        self._count(pointer, live, -1)
        self._freed[pointer] = Block(pointer, live.size, live.site, site)
        self._freed.move_to_end(pointer)
        if len(self._freed) > _FREED_KEPT:
            self._freed.popitem(last=False)

    def _count(self, address: int, live: _Live, sign: int) -> None:
        self._all.change(live.site, sign * live.size, sign)
        if not self._is_static(address):
            self._beside_static.change(sign * live.size)
        if live.is_elsewhere:
            self._elsewhere.change(sign * live.size)

    def _judge_pointer(self, pointer: int, site: CallSite, sp: int, word: str) -> None:
        self._judge.bad_pointer(pointer, site, sp, word, self._freed.get(pointer) or self._live_block(pointer))

    # ---- asking ------------------------------------------------------------------------------------------------------

    @property
    def follows(self) -> bool:
        """Whether the firmware's allocator is known, or it has none."""
        return self._why_not_followed is None

    @property
    def was_used(self) -> bool:
        """Whether the allocator was ever called."""
        return bool(self._allocations or self._failures or self._frees)

    def lay_in(self, start: int, end: int) -> bool:
        """Return whether the heap may ever have used memory between ``start`` and ``end``."""
        return self._lowest < end and start <= self._highest

    @property
    def memory(self) -> str | None:
        """The memory that the whole heap was in; None if there was no heap, or it was in several."""
        names = [region.name for region in self._firmware.board.ram if self.lay_in(region.start, region.end)]
        return names[0] if len(names) == 1 else None

    def block_near(self, address: int, distance: int = 0) -> Block | None:
        """Return the block that ``address`` is in, else the one that it is closest to, up to ``distance`` bytes away.

        A live block goes before one that was freed; of those the latest ones are remembered.
        """
        for blocks in (self._live_blocks(), reversed(self._freed.values())):
            gaps = ((max(b.address - address, address - b.address - max(b.size, 1) + 1, 0), b) for b in blocks)
            gap, block = min(gaps, key=lambda pair: pair[0], default=(distance + 1, None))
            if gap <= distance:
                return block
        return None

    def describe(self, block: Block) -> str:
        """Return in words how large a block is (or was), and where it was allocated and freed."""
        return self._judge.describe(block)

    def _live_blocks(self) -> Iterable[Block]:
        return (Block(address, live.size, live.site) for address, live in self._live.items())

    def _live_block(self, address: int) -> Block | None:
        return next((b for b in self._live_blocks() if b.address <= address < b.address + b.size), None)

    # ---- the figures -------------------------------------------------------------------------------------------------

    def measure(self) -> Heap:
        """Return the figures; those that cannot be known are None, for a reason that ``not_measured`` gives."""
        if self._why_not_followed is not None:
            return Heap(attached=False)
        region = None if "heap_region_bytes" in self.not_measured else self._region.size
        live: dict[CallSite, tuple[int, int]] = {}
        for size, site, _ in self._live.values():
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
        place = f"from `{variable.name}`" if variable is not None else "from elsewhere"
        reason = f"the allocator takes its memory {place}, not from _sbrk"
        return dict.fromkeys(("heap_region_bytes", "overhead_bytes"), reason)

    @property
    def faults(self) -> list[Fault]:
        """What the firmware did wrong with its heap, in the order in which it did it."""
        return self._judge.faults

    def _by_path(self, totals: dict[CallSite, tuple[int, int]]) -> list[Allocations]:
        found = []
        for known, sites in self._callers.grouped(sorted(totals, key=lambda site: -totals[site][0])).items():
            size, blocks = (sum(column) for column in zip(*(totals[site] for site in sites), strict=True))
            found.append(Allocations(**self._caller(known), bytes=size, allocations=blocks))
        return sorted(found, key=lambda group: (-group.bytes, group.call_site))

    @property
    def failed(self) -> list[FailedAllocations]:
        """What the allocator refused, by call path, largest first."""
        found = []
        for known, sites in self._callers.grouped(self._failed).items():
            refusals = [self._failed[site] for site in sites]
            most = max((of.most for of in refusals), key=lambda most: most.size)
            found.append(
                FailedAllocations(
                    **self._caller(known),
                    largest_bytes=most.size,
                    failures=sum(of.times for of in refusals),
                    live_bytes=most.live,
                    free_bytes=sum(most.pieces) if most.pieces else None,
                    largest_free_bytes=max(most.pieces, default=None),
                    sbrk_refused=most.by_sbrk,
                )
            )
        return sorted(found, key=lambda group: (-group.largest_bytes, group.call_site))

    def _caller(self, site: CallSite) -> dict[str, Any]:
        backtrace = self._callers.backtrace(site)
        place = self._firmware.locate(backtrace[0].pc).model_dump()
        return {**place, "call_site": site.address, "backtrace": backtrace}
