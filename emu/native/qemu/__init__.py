"""The plugin that runs inside QEMU: compiled on first use, cached by content; ``Shared`` mirrors ``plugin.h``."""

import platform
from ctypes import Structure, c_uint8, c_uint32, c_uint64
from pathlib import Path

from emu.cache import cached, content_key
from emu.native import INTERVALS, CallNode, CallTree, HeapEvent, Poll, PrintedBytes, Timeline
from emu.toolchains import find_toolchain

REGIONS = 32
"""The most memories whose loads and stores can be counted."""
MOST_STACKS, RESET_STACK, _EXCEPTIONS = 65, 1, 512
_REGISTERS, _STACK_KEPT, _BLOCKS = 72, 128 * 1024, 1 << 18
_HEAP_EVENTS, _HEAP_CAPTURES, _HEAP_STACK_BYTES = 1 << 16, 1024, 1 << 20
_CALL_PATHS = 1 << 16

_LIBRARY = "qemu_plugin.so"
_FLAGS = ("-O2", "-std=c99", "-Wall", "-Wextra", "-Werror", "-Wconversion", "-fvisibility=hidden", "-shared", "-fPIC")


class Block(Structure):
    """A straight-line piece of code that ran."""

    _fields_ = (
        ("address", c_uint32),
        ("size", c_uint32),
        ("instructions", c_uint32),
        ("sp_change", c_uint32),
        ("executions", c_uint64),
    )


class Lowest(Structure):
    """The machine when SP reached a new low."""

    _fields_ = (
        ("sp", c_uint32),
        ("lowered_at", c_uint32),
        ("exception", c_uint32),
        ("stack_start", c_uint32),
        ("stack_bytes", c_uint32),
        ("pc", c_uint32),
        ("registers", c_uint32 * _REGISTERS),
        ("stack", c_uint8 * _STACK_KEPT),
    )


class StackState(Structure):
    """A stack and its lowest SP."""

    _fields_ = (("process", c_uint32), ("top", c_uint32), ("limit", c_uint32), ("lowest", Lowest))


class Context(Structure):
    """A thread or an exception's handler."""

    _fields_ = (
        ("entry", c_uint32),
        ("lowest", c_uint32),
        ("depth", c_uint32),
        ("floats", c_uint32),
        ("saved", c_uint32),
    )


class Departure(Structure):
    """The machine when SP last went to an address without memory; ``sp`` is 0 if that never happened."""

    _fields_ = (
        ("sp", c_uint32),
        ("pc", c_uint32),
        ("registers", c_uint32 * _REGISTERS),
    )


class CallerCapture(Structure):
    """The machine at the entry of an allocator function."""

    _fields_ = (
        ("registers", c_uint32 * _REGISTERS),
        ("entry", c_uint32),
        ("jumped_from", c_uint32),
        ("thread", c_uint32),
        ("stack_start", c_uint32),
        ("offset", c_uint32),
        ("stack_bytes", c_uint32),
    )


class SharedHeap(Structure):
    """The allocator's calls since Python emptied the lists."""

    _fields_ = (
        ("waits", c_uint64),
        ("end", c_uint32),
        ("unseen_returns", c_uint32),
        ("event_count", c_uint32),
        ("capture_count", c_uint32),
        ("stack_bytes", c_uint32),
        ("meeting_noted", c_uint32),
        ("met_from", c_uint32),
        ("has_met", c_uint32),
        ("meeting", Lowest),
        ("events", HeapEvent * _HEAP_EVENTS),
        ("captures", CallerCapture * _HEAP_CAPTURES),
        ("stacks", c_uint8 * _HEAP_STACK_BYTES),
    )


class Shared(Structure):
    """The plugin's counters since the start of the machine."""

    _fields_ = (
        ("ready", c_uint64),
        ("instructions", c_uint64),
        ("loads", c_uint64 * REGIONS),
        ("stores", c_uint64 * REGIONS),
        ("current_block", c_uint32),
        ("previous_block", c_uint32),
        ("off_stack", c_uint64),
        ("wanted", c_uint64),
        ("registers", c_uint32 * _REGISTERS),
        ("timeline", Timeline),
        ("intervals", c_uint32 * INTERVALS),
        ("last_sp", c_uint32),
        ("stack_count", c_uint32),
        ("current_stack", c_uint32),
        ("asked_sp", c_uint32),
        ("asked_process", c_uint32),
        ("overflowed", c_uint32),
        ("stacks", StackState * MOST_STACKS),
        ("contexts", Context * (MOST_STACKS + _EXCEPTIONS)),
        ("departure", Departure),
        ("heap", SharedHeap),
        ("calls", CallTree),
        ("counted_node", c_uint32),
        ("nodes", CallNode * _CALL_PATHS),
        ("blocks", Block * _BLOCKS),
        ("output", PrintedBytes),
        ("poll", Poll),
        ("goes_on_idling", c_uint64),
    )


def qemu_plugin() -> Path:
    """Return the compiled plugin; raises MissingToolError if the host has no C compiler."""
    here = Path(__file__).parent
    common = here.parent / "common"
    sources = [str(path) for path in sorted([*here.glob("*.c"), *common.glob("*.c")])]
    read = sorted([*here.glob("*.[ch]"), *common.glob("*.[ch]")])
    parts = [*_FLAGS, platform.machine(), *platform.libc_ver(), *(path.read_bytes() for path in read)]

    def make(directory: Path) -> None:
        find_toolchain("host").run([*_FLAGS, *sources, "-pthread", "-o", _LIBRARY], directory)

    return cached("qemu-plugin", content_key(parts), make) / _LIBRARY
