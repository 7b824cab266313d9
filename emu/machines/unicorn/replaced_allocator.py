"""An allocator in place of the firmware's own: blocks far apart, in memory that the board does not have.

Gaps separate the blocks, and freed memory is reused only when nothing else is left. So an access outside its block, or
after free, cannot hit another block.
"""

from collections import deque

from unicorn.unicorn import Uc

from emu.machines.unicorn.peripherals import PAGE
from emu.native import HEAP_CALLOC, HEAP_FREE, HEAP_REALLOC, HEAP_USABLE_SIZE, HeapCall
from emu.native.unicorn.shadow import NativeShadow
from emu.targets import Board, Region

_SIZE = 16 * 1024 * 1024
_FIRST_ADDRESS = 0x6000_0000  # Armv7-M, B3.1: from here on memory may be anything
_GAP = 128
"""Bytes before and after each block that belong to no block."""
_ALIGNMENT = 8


def place_for_heap(board: Board) -> Region:
    """Return a region at addresses that the board does not use."""
    taken = [(part.start & -PAGE, part.end) for part in (*board.memory, *board.peripherals)]
    start = next(
        start
        for start in range(_FIRST_ADDRESS, 1 << 32, _SIZE)
        if all(end <= start or start + _SIZE <= first for first, end in taken)
    )
    return Region(name="replaced_heap", start=start, size=_SIZE, access="rw")


class ReplacedAllocator:
    """Serves allocator calls from ``region``, which the engine and the memory checker have too."""

    def __init__(self, engine: Uc, shadow: NativeShadow, region: Region):
        self._engine, self._shadow, self._region = engine, shadow, region
        self._next = region.start
        self._slots: dict[int, tuple[int, int, int]] = {}
        """For each live block: its bytes, and start and bytes of the memory with the gaps around it."""
        self._freed: deque[tuple[int, int]] = deque()

    def serve(self, call: HeapCall) -> int:
        """Serve the call and return its result, or 0."""
        event = call.event
        if event.function == HEAP_FREE:
            self._free(event.pointer)
            return 0
        if event.function == HEAP_USABLE_SIZE:
            return self._slots[event.pointer][0] if event.pointer in self._slots else 0
        if event.function == HEAP_REALLOC and event.pointer:
            return self._move(event.pointer, event.size)
        address = self._allocate(event.size, max(_ALIGNMENT, call.alignment))
        if address and event.function == HEAP_CALLOC:
            self._engine.mem_write(address, bytes(event.size))
            self._shadow.define(address, event.size)
        return address

    def _allocate(self, size: int, alignment: int = _ALIGNMENT) -> int:
        room = _GAP + size + _GAP + alignment
        if self._next + room <= self._region.end:
            start = self._next
            self._next += room
        else:
            slot = next((slot for slot in self._freed if slot[1] >= room), None)
            if slot is None:
                return 0
            self._freed.remove(slot)
            start, room = slot
        address = -(-(start + _GAP) // alignment) * alignment
        self._slots[address] = (size, start, room)
        return address

    def _free(self, pointer: int) -> None:
        slot = self._slots.pop(pointer, None)
        if slot is not None:  # the ledger has judged any other pointer already
            self._freed.append(slot[1:])

    def _move(self, pointer: int, size: int) -> int:
        if pointer not in self._slots:
            return 0
        if size == 0:
            self._free(pointer)
            return 0
        address = self._allocate(size)
        if address:
            kept = min(size, self._slots[pointer][0])
            self._engine.mem_write(address, bytes(self._engine.mem_read(pointer, kept)))
            self._shadow.copy(pointer, address, kept)
            self._free(pointer)
        return address
