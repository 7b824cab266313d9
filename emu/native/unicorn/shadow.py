"""The memory checker's native half on one engine: the shadow of memory and registers, and the findings.

The structures mirror ``shadow.h`` field by field, and ``shadow.h`` describes the fields.
"""

import ctypes
from collections.abc import Iterable, Iterator
from ctypes import POINTER, Structure, c_uint8, c_uint32, c_uint64, c_void_p
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from emu.firmware import Firmware
from emu.native.unicorn.instructions import ByteState
from emu.targets import Region

_REGISTERS = 51
_MOST_STACKS, _FIRST = 65, 1
_ORIGINS, _FINDINGS = 1 << 16, 1024


class _Memory(Structure):
    _fields_ = (
        ("start", c_uint32),
        ("size", c_uint32),
        ("state", c_void_p),
        ("undefined", c_void_p),
        ("origin", c_void_p),
        ("block_size", c_void_p),
    )


@dataclass(frozen=True)
class _MemoryArrays:
    """The arrays of one memory that C works on; Python must keep them alive.

    All arrays but the states are empty for flash, and for all memory if undefined values are not followed.
    """

    region: Region
    state: NDArray[np.uint8]
    undefined: NDArray[np.uint8]
    origin: NDArray[np.uint32]
    block_size: NDArray[np.uint32]

    @classmethod
    def of(cls, region: Region, state: NDArray[np.uint8], follows_undefined: bool) -> Self:
        size = region.size if region.writable else 0
        followed = size if follows_undefined else 0
        origin, block_size = (np.zeros(size // 4, np.uint32) for _ in range(2))
        return cls(region, state, np.full(followed, 0xFF, np.uint8), origin, block_size)

    @property
    def native(self) -> _Memory:
        arrays = (self.state, self.undefined, self.origin, self.block_size)
        return _Memory(self.region.start, self.region.size, *(a.ctypes.data if a.size else None for a in arrays))

    def bytes(self, address: int, size: int) -> slice:
        start = address - self.region.start
        return slice(start, start + size)

    def words(self, address: int, size: int) -> slice:
        start = address - self.region.start
        return slice(start // 4, (start + size + 3) // 4)


class Origin(Structure):
    """The origin of an undefined value."""

    _fields_ = (("pc", c_uint32), ("address", c_uint32), ("sp", c_uint32))


class _Stack(Structure):
    _fields_ = (("bottom", c_uint32), ("top", c_uint32), ("sp", c_uint32))


class Finding(Structure):
    """A finding at one instruction, and the machine at that moment."""

    _fields_ = (
        ("kind", c_uint32),
        ("pc", c_uint32),
        ("access", c_uint32),
        ("address", c_uint32),
        ("size", c_uint32),
        ("state", c_uint32),
        ("origin", Origin),
        ("registers", c_uint32 * 17),
        ("thread", c_uint32),
        ("stack_bytes", c_uint32),
        ("times", c_uint64),
        ("last_address", c_uint32),
        ("stack", POINTER(c_uint8)),
    )


class _Shadow(Structure):
    _fields_ = (
        ("memory_count", c_uint64),
        ("memories", POINTER(_Memory)),
        ("recent", c_uint32),
        ("stacks", POINTER(_Stack)),
        ("sp_changed", c_uint32),
        ("choice", c_uint64),
        ("choice_undefined", c_uint32 * _REGISTERS),
        ("choice_end", c_uint32),
        ("choice_origin", c_uint32),
        ("follows_undefined", c_uint32),
        ("in_program", c_uint32),
        ("string_reported", c_uint32),
        ("undefined_registers", c_uint64),
        ("undefined", c_uint32 * _REGISTERS),
        ("register_origin", c_uint32 * _REGISTERS),
        ("origins", POINTER(Origin)),
        ("origin_count", c_uint32),
        ("origin_capacity", c_uint32),
        ("findings", POINTER(Finding)),
        ("finding_count", c_uint32),
        ("finding_capacity", c_uint32),
    )


class NativeShadow:
    """The shadow of one run, from reset on.

    - ``states``: for each memory of the machine, whether its bytes may be accessed (``ByteState``)
    - ``defined``: the addresses and sizes of the RAM that has values before the firmware starts
    - ``follows_undefined``: whether undefined values are followed
    - ``in_program``: whether there is no startup code that may write everywhere
    """

    def __init__(
        self,
        library: ctypes.CDLL,
        firmware: Firmware,
        states: Iterable[tuple[Region, NDArray[np.uint8]]],
        defined: Iterable[tuple[int, int]],
        *,
        follows_undefined: bool,
        in_program: bool,
    ):
        if library.shadow_size() != ctypes.sizeof(_Shadow):
            raise AssertionError("emu/native/unicorn/shadow.py does not mirror shadow.h")
        self._library = library
        self._shadow = _Shadow()
        self._memories = [_MemoryArrays.of(region, state, follows_undefined) for region, state in states]
        self._shadow.memories = (_Memory * len(self._memories))(*(memory.native for memory in self._memories))
        self._shadow.memory_count = len(self._memories)
        for address, size in defined:
            self.define(address, size)
        self._make_tables()
        top = firmware.initial_sp
        self._stacks = (_Stack * _MOST_STACKS)()
        self._stacks[_FIRST] = _Stack(firmware.stack_limit if firmware.stack_limit is not None else top, top, top)
        self._shadow.stacks = self._stacks
        self._shadow.follows_undefined, self._shadow.in_program = follows_undefined, in_program

    @property
    def address(self) -> int:
        """The address of the C structure."""
        return ctypes.addressof(self._shadow)

    # ---- memory ------------------------------------------------------------------------------------------------------

    def define(self, address: int, size: int) -> None:
        """Note that something other than an instruction has given these bytes values."""
        for memory in self._ram_at(address):
            memory.undefined[memory.bytes(address, size)] = 0

    def copy(self, source: int, target: int, size: int) -> None:
        """Move the undefined bits of bytes along with the bytes; both addresses are multiples of 4, and in RAM."""
        for old in self._ram_at(source):
            for new in self._ram_at(target):
                new.undefined[new.bytes(target, size)] = old.undefined[old.bytes(source, size)]
                new.origin[new.words(target, size)] = old.origin[old.words(source, size)]

    def open_stack(self, number: int, bottom: int, top: int, sp: int | None) -> None:
        """Note that the firmware has another stack here, perhaps in memory that belonged to the first stack.

        ``sp`` is its SP; None if nothing tells which memory is the stack's, so that it is not checked.
        """
        if sp is not None and not self._stacks[number].top:
            self._stacks[number] = _Stack(bottom, top, sp)
        for memory in self._ram_at(bottom):
            state = memory.state[memory.bytes(bottom, top - bottom)]
            state[np.isin(state, (ByteState.OUTSIDE, ByteState.BELOW_STACK))] = ByteState.ACCESSIBLE
        first = self._stacks[_FIRST]
        if first.bottom < top <= first.sp:
            first.bottom = top

    def first_undefined(self, address: int, size: int) -> int | None:
        """Return the address of the first of these bytes with an undefined bit, or None."""
        for memory in self._ram_at(address):
            undefined = np.flatnonzero(memory.undefined[memory.bytes(address, size)])
            return address + int(undefined[0]) if undefined.size else None
        return None

    def is_accessible(self, start: int, end: int) -> bool:
        """Return whether all bytes of a memory from ``start`` to ``end`` may be accessed; True if there are none."""
        memory = next((each for each in self._memories if start in each.region), None)
        return start >= end or (memory is not None and not memory.state[memory.bytes(start, end - start)].any())

    def _ram_at(self, address: int) -> "Iterator[_MemoryArrays]":
        return (memory for memory in self._memories if memory.region.writable and address in memory.region)

    # ---- findings ----------------------------------------------------------------------------------------------------

    @property
    def findings(self) -> list[Finding]:
        """All findings of the run, oldest first."""
        return self._shadow.findings[: self._shadow.finding_count]

    @property
    def findings_cut(self) -> bool:
        """Whether there was no room for another finding."""
        return self._shadow.finding_count == self._shadow.finding_capacity

    def close(self) -> None:
        """Release what the C side allocated."""
        self._library.shadow_release(ctypes.byref(self._shadow))
        self._shadow.finding_count = 0

    # ---- making it ---------------------------------------------------------------------------------------------------

    def _make_tables(self) -> None:
        shadow = self._shadow
        shadow.origins, shadow.origin_capacity, shadow.origin_count = (Origin * _ORIGINS)(), _ORIGINS, 1
        shadow.findings, shadow.finding_capacity = (Finding * _FINDINGS)(), _FINDINGS
