"""C that runs inside an emulator: compiled with the host's compiler on first use, cached by content.

This module has the structures that ``unicorn/`` and ``qemu/`` share. The structures mirror the headers of ``common/``
field by field; the headers describe the fields.
"""

import ctypes
from ctypes import POINTER, Structure, c_uint8, c_uint32, c_uint64

HEAP_MALLOC, HEAP_CALLOC, HEAP_REALLOC, HEAP_MEMALIGN, HEAP_FREE = range(5)
HEAP_ALIGNED_CALLOC, HEAP_REALLOC_BEGINS, HEAP_BREAK, HEAP_LONGJMP, HEAP_QUERY, HEAP_USABLE_SIZE = range(5, 11)

INTERVALS, FIRST_INTERVAL = 256, 1024
"""The most intervals of a timeline, and the first length in instructions, which doubles when there are too many."""

OUTPUT_KEPT = 1 << 20
"""The most bytes of the firmware's output that are kept between two looks."""


class PrintedBytes(Structure):
    """What peripherals have printed."""

    _fields_ = (("printed", c_uint64), ("bytes", c_uint8 * OUTPUT_KEPT), ("sources", c_uint8 * OUTPUT_KEPT))

    def since(self, position: int) -> bytes:
        """Return the output after the first ``position`` bytes, or its last ``OUTPUT_KEPT`` bytes."""
        size = min(self.printed - position, OUTPUT_KEPT)
        end = self.printed % OUTPUT_KEPT
        kept = ctypes.addressof(self) + PrintedBytes.bytes.offset
        older = ctypes.string_at(kept + OUTPUT_KEPT - (size - end), size - end) if size > end else b""
        return older + ctypes.string_at(kept + max(0, end - size), min(size, end))


class Poll(Structure):
    """The last read of a peripheral's register."""

    _fields_ = (("count", c_uint64), ("at", c_uint64), ("address", c_uint32), ("value", c_uint32))


class FunctionRange(Structure):
    """A function's code."""

    _fields_ = (("start", c_uint32), ("end", c_uint32))


class CallNode(Structure):
    """A call path."""

    _fields_ = (
        ("caller", c_uint32),
        ("function", c_uint32),
        ("first_callee", c_uint32),
        ("next_sibling", c_uint32),
        ("instructions", c_uint64),
    )


class CallFrame(Structure):
    """A call that has not returned."""

    _fields_ = (("return_address", c_uint32), ("sp", c_uint32), ("caller", c_uint32))


class CallTree(Structure):
    """Instructions by call path."""

    _fields_ = (
        ("functions", POINTER(FunctionRange)),
        ("nodes", POINTER(CallNode)),
        ("frames", POINTER(CallFrame)),
        ("function_count", c_uint32),
        ("node_count", c_uint32),
        ("node_capacity", c_uint32),
        ("frame_count", c_uint32),
        ("frame_capacity", c_uint32),
        ("current", c_uint32),
        ("cut", c_uint32),
    )


class AllocatorEntry(Structure):
    """The first instruction of an allocator function."""

    _fields_ = (("address", c_uint32), ("function", c_uint32), ("first_argument", c_uint32))


class HeapEvent(Structure):
    """One call of the allocator."""

    _fields_ = (
        ("function", c_uint32),
        ("size", c_uint32),
        ("pointer", c_uint32),
        ("result", c_uint32),
        ("call_site", c_uint32),
        ("sp", c_uint32),
        ("path", c_uint32),
        ("instructions", c_uint64),
    )


class HeapCall(Structure):
    """The outermost allocator call that has not returned yet."""

    _fields_ = (
        ("return_address", c_uint32),
        ("sp", c_uint32),
        ("entry", c_uint32),
        ("alignment", c_uint32),
        ("wrapped", c_uint32),
        ("event", HeapEvent),
    )


class Timeline(Structure):
    """The lowest SP in intervals of instructions."""

    _fields_ = (
        ("lowest", POINTER(c_uint32)),
        ("count", c_uint32),
        ("capacity", c_uint32),
        ("length", c_uint64),
        ("end", c_uint64),
        ("lowest_before", c_uint32),
        ("pc", c_uint32),
        ("sp", c_uint32),
        ("block_serial", c_uint64),
    )
