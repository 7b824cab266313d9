"""The blocks of the firmware's allocator, moved far apart into memory that the board does not have.

The allocator itself runs in its usual memory, and refuses a request if it has no room. For each of its blocks the
program gets another block. Gaps separate these blocks, and freed memory is reused only when nothing else is left. So
an access outside its block, or after free, cannot hit another block.
"""

from collections import deque
from typing import NamedTuple

from unicorn.unicorn import Uc

from emu.native import HEAP_CALLOC, HEAP_FREE, HEAP_REALLOC, HEAP_USABLE_SIZE, HeapCall
from emu.native.unicorn.peripherals import PAGE
from emu.native.unicorn.shadow import NativeShadow
from emu.targets import Board, Region

_SIZE = 16 * 1024 * 1024
_FIRST_ADDRESS = 0x6000_0000  # Armv7-M, B3.1: a system may use the addresses from here on for anything
_GAP = 128
"""Bytes before and after each block that belong to no block."""
_ALIGNMENT = 8


def place_for_heap(board: Board) -> Region:
    """Return memory at addresses where the board has nothing."""
    taken = [(part.start & -PAGE, part.end) for part in (*board.memory, *board.peripherals)]
    start = next(
        start
        for start in range(_FIRST_ADDRESS, 1 << 32, _SIZE)
        if all(end <= start or start + _SIZE <= first for first, end in taken)
    )
    return Region(name="replaced_heap", start=start, size=_SIZE, access="rw")


class _Moved(NamedTuple):
    """A live block."""

    own: int
    """The address of the allocator's own block."""
    size: int
    start: int
    room: int
    """The address of the moved memory with the gaps around it."""


class MovedBlocks:
    """Blocks in ``region``, which is known to the engine and the memory checker."""

    def __init__(self, engine: Uc, shadow: NativeShadow, region: Region):
        self._engine, self._shadow, self._region = engine, shadow, region
        self._next = region.start
        self._live: dict[int, _Moved] = {}
        self._own: dict[int, int] = {}
        """The address of the allocator's own block, by the address to which the block was last moved."""
        self._freed: deque[tuple[int, int]] = deque()

    def own_address(self, address: int) -> int:
        """Return the address of the allocator's own block for the block moved to ``address``."""
        return self._own.get(address, address)

    def own_block(self, call: HeapCall) -> int:
        """Return the allocator's own block for the argument of ``call``; 0 if there is none."""
        pointer = call.event.pointer
        moved = self._live.get(pointer)
        if moved is not None and call.event.function == HEAP_FREE:
            self._free(pointer)
        return 0 if moved is None else moved.own

    def returned(self, call: HeapCall, result: int) -> int:
        """Return the program's result of ``call``; ``result`` is the allocator's."""
        event = call.event
        moved = self._live.get(event.pointer)
        if event.function == HEAP_USABLE_SIZE:
            return moved.size if moved is not None else 0
        if event.function == HEAP_REALLOC and event.pointer and moved is None:
            return 0  # the pointer was to no block; that error is already reported
        if not result:
            if event.function == HEAP_REALLOC and event.pointer and not event.size:
                self._free(event.pointer)
            return 0
        address = self._place(result, event.size, max(_ALIGNMENT, call.alignment))
        if address and event.function == HEAP_CALLOC:
            self._engine.mem_write(address, bytes(event.size))
            self._shadow.define(address, event.size)
        if not address and moved is not None:
            self._live[event.pointer] = moved._replace(own=result)
        elif moved is not None:
            kept = min(event.size, moved.size)
            self._engine.mem_write(address, bytes(self._engine.mem_read(event.pointer, kept)))
            self._shadow.copy(event.pointer, address, kept)
            self._free(event.pointer)
        return address

    def _place(self, own: int, size: int, alignment: int) -> int:
        """Return the address of other memory for a block, or 0 if there is none."""
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
        self._live[address] = _Moved(own, size, start, room)
        self._own[address] = own
        return address

    def _free(self, pointer: int) -> None:
        moved = self._live.pop(pointer)
        self._freed.append((moved.start, moved.room))
