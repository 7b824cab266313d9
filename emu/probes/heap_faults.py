"""Heap errors of firmware: frees of pointers to no live block, and a heap that meets the stack."""

from collections.abc import Sequence
from dataclasses import dataclass

from emu.firmware import Firmware
from emu.probes.callers import Callers, CallSite
from emu.record import Fault, Frame, Location


@dataclass(frozen=True)
class Block:
    """A block from the allocator; ``freed`` is the call that freed the block, None if it is live."""

    address: int
    size: int
    allocated: CallSite
    freed: CallSite | None = None


class HeapFaults:
    """The faults so far, one for each place."""

    def __init__(self, firmware: Firmware, callers: Callers):
        self._firmware, self._callers = firmware, callers
        self._seen: set[tuple[object, ...]] = set()
        self.faults: list[Fault] = []

    def bad_pointer(self, pointer: int, site: CallSite, sp: int, word: str, block: Block | None) -> None:
        """Note that ``word`` (free or realloc) got a pointer to no live block; ``block`` holds that address, if any."""
        kind = "double_free" if block is not None and block.freed is not None else "invalid_free"
        place = self._callers.caller(site)
        if not self._first(kind, place.function, place.file, place.line or place.pc):
            return
        if block is None:
            what = f"{self._place_of(pointer, sp)}: no block of the heap"
        elif block.freed is not None:
            what = f"{self.describe(block)} before"
        else:
            what = f"{pointer - block.address} bytes into {self.describe(block)}"
        detail = f"{word} of {pointer:#010x}: {what}"
        self._add(kind, pointer, detail, self._callers.backtrace(site), self._callers.task(site))

    def heap_grew_into_stack(self, site: CallSite, sp: int) -> None:
        """Note that the allocator returned memory above SP, which the stack uses."""
        detail = f"the heap grows beyond SP ({sp:#010x}): memory of the stack is handed out"
        if self._first("heap_meets_stack"):
            backtrace = self._callers.backtrace(site)
            self._add("heap_meets_stack", sp, f"{detail} by {_name(backtrace[0])}", backtrace, self._callers.task(site))

    def stack_grew_into_heap(
        self, lowest: int, backtrace: Sequence[Frame], heap_end: int, grown_at: CallSite | None
    ) -> None:
        """Note that SP fell to ``lowest``, below the heap's end."""
        if not self._first("heap_meets_stack"):
            return
        grown = f", which {self._caller(grown_at)} brought there" if grown_at is not None else ""
        detail = f"SP goes to {lowest:#010x}, below the heap's end {heap_end:#010x}{grown}"
        self._add("heap_meets_stack", lowest, detail, backtrace)

    def describe(self, block: Block) -> str:
        """Return in words the size of a block, and where it was allocated and freed."""
        text = f"a block of {block.size} bytes, allocated by {self._caller(block.allocated)}"
        return text if block.freed is None else f"{text}, freed by {self._caller(block.freed)}"

    def _caller(self, site: CallSite) -> str:
        return _name(self._callers.caller(site))

    def _place_of(self, address: int, sp: int) -> str:
        firmware = self._firmware
        variable = firmware.variable_at(address)
        if variable is not None:
            return f"{address - variable.address} bytes into the variable `{variable.readable}`"
        if sp <= address < firmware.initial_sp:
            return "on the stack"
        region = firmware.board.region_at(address)
        return f"in {region.name}" if region is not None else "where no memory is"

    def _first(self, *place: object) -> bool:
        new = place not in self._seen
        self._seen.add(place)
        return new

    def _add(self, kind: str, address: int, detail: str, backtrace: Sequence[Frame], task: str | None = None) -> None:
        pc, frames = backtrace[0].pc, [*backtrace]
        place = self._firmware.locate(pc).model_dump()
        self.faults.append(
            Fault(**place, kind=kind, address=address, pc=pc, detail=detail, backtrace=frames, task=task)
        )


def _name(place: Location) -> str:
    where = f" ({place.file}:{place.line})" if place.file is not None else ""
    return f"{place.function or 'code without a name'}{where}"
