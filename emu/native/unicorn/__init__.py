"""The hooks that run inside Unicorn: compiled on first use, called by ctypes.

The structures mirror ``probe.h`` field by field, and ``probe.h`` describes the fields.
"""

import ctypes
import platform
from ctypes import POINTER, Structure, c_bool, c_char_p, c_int32, c_size_t, c_uint8, c_uint32, c_uint64, c_void_p
from functools import cache
from importlib.resources import files
from pathlib import Path

from emu.cache import cached, content_key
from emu.native import AllocatorEntry, CallTree, HeapCall, HeapEvent, Poll, PrintedBytes, Timeline
from emu.native.unicorn.instructions import NativeInstruction, NativeTable
from emu.toolchains import find_toolchain

(
    STOP_NONE,
    STOP_PAUSE,
    STOP_YIELD,
    STOP_EXIT,
    STOP_STACK_OVERFLOW,
    STOP_STACK_CHANGE,
    STOP_OUT_OF_MEMORY,
    STOP_ALLOCATOR,
    STOP_ALLOCATED,
    STOP_UNKNOWN_CODE,
    STOP_RESTART,
    STOP_NO_HANDLER,
    STOP_SLEEP,
    STOP_RESET,
    STOP_TRAPS,
    STOP_EXACT,
    STOP_IDLE,
) = range(17)

_LIBRARY = "unicorn_probe.so"
_FLAGS = ("-O2", "-flto", "-std=c99", "-Wall", "-Wextra", "-Werror", "-Wconversion", "-shared", "-fPIC")


class UnicornApi(Structure):
    """The functions of Unicorn that the hooks call."""

    _fields_ = (
        ("reg_read", c_void_p),
        ("reg_write", c_void_p),
        ("mem_read", c_void_p),
        ("mem_write", c_void_p),
        ("emu_start", c_void_p),
        ("emu_stop", c_void_p),
        ("context_save", c_void_p),
        ("context_restore", c_void_p),
    )


class CodeRegion(Structure):
    """Memory that instructions may be fetched from."""

    _fields_ = (
        ("start", c_uint32),
        ("end", c_uint32),
        ("block_at", c_void_p),
        ("is_returned_to", c_void_p),
        ("sp_delta", c_void_p),
    )


class Block(Structure):
    """A translation block: straight-line code."""

    _fields_ = (
        ("address", c_uint32),
        ("size", c_uint32),
        ("instructions", c_uint32),
        ("lowest", c_int32),
        ("executions", c_uint64),
        ("function", c_uint32),
        ("return_address", c_uint32),
        ("known", c_uint32),
        ("other_size", c_uint32),
        ("idles", c_uint32),
    )


class Snapshot(Structure):
    """The machine when the stack pointer reached a new low."""

    _fields_ = (
        ("lowest", c_uint32),
        ("pc", c_uint32),
        ("exception", c_uint32),
        ("registers", c_uint32 * 16),
        ("block_serial", c_uint64),
        ("stack", POINTER(c_uint8)),
    )


MOST_STACKS = 65
"""The most stacks that are followed, and one that means no stack."""
INTERRUPTS, EXCEPTIONS, MPU_REGIONS = 240, 256, 16
CONTEXTS = MOST_STACKS + EXCEPTIONS


class Context(Structure):
    """A thread or an exception's handler."""

    _fields_ = (
        ("entry", c_uint32),
        ("lowest", c_uint32),
        ("depth", c_uint32),
        ("floats", c_uint32),
        ("saved", c_uint32),
        ("heap_call", HeapCall),
        ("break_call", HeapCall),
    )


class StackState(Structure):
    """A stack and its lowest SP."""

    _fields_ = (
        ("process", c_uint32),
        ("top", c_uint32),
        ("limit", c_uint32),
        ("floor", c_uint32),
        ("latest_snapshot", c_uint32),
        ("snapshots", Snapshot * 2),
    )

    @property
    def peak(self) -> Snapshot:
        """The machine when the stack was lowest."""
        return self.snapshots[self.latest_snapshot]


class CallerCapture(Structure):
    """The machine at the entry of an allocator function."""

    _fields_ = (
        ("registers", c_uint32 * 16),
        ("jumped_from", c_uint32),
        ("thread", c_uint32),
        ("offset", c_uint32),
        ("size", c_uint32),
    )


class Callers(Structure):
    """The call paths to the allocator."""

    _fields_ = (
        ("keys", POINTER(c_uint64)),
        ("numbers", POINTER(c_uint32)),
        ("slot_count", c_uint32),
        ("path_count", c_uint32),
        ("path_capacity", c_uint32),
        ("captures", POINTER(CallerCapture)),
        ("stacks", POINTER(c_uint8)),
        ("capture_count", c_uint32),
        ("capture_capacity", c_uint32),
        ("stack_bytes", c_uint32),
        ("stack_capacity", c_uint32),
    )


class MemoryRange(Structure):
    """Memory of the board."""

    _fields_ = (("start", c_uint32), ("end", c_uint32), ("writable", c_uint32), ("executable", c_uint32))


class Interrupted(Structure):
    """The machine that an exception has interrupted."""

    _fields_ = tuple(
        (name, c_uint32)
        for name in (
            *("sp", "pc", "process", "stack", "context", "frame"),
            *("current_block", "previous_block", "frame_count", "path"),
        )
    )


class SysTick(Structure):
    """The timer of the core."""

    _fields_ = (("control", c_uint32), ("reload", c_uint32), ("value", c_uint32), ("since", c_uint64))


class ExceptionState(Structure):
    """The state of the core's exceptions."""

    _fields_ = (
        ("cpuid", c_uint32),
        ("range_count", c_uint64),
        ("ranges", POINTER(MemoryRange)),
        ("function_count", c_uint64),
        ("functions", POINTER(c_uint32)),
        ("context", c_void_p),
        ("context_at", c_uint32),
        ("context_bytes", c_uint32),
        ("priority", c_uint8 * EXCEPTIONS),
        ("enabled", c_uint8 * EXCEPTIONS),
        ("pending", c_uint8 * EXCEPTIONS),
        ("active", c_uint8 * EXCEPTIONS),
        ("pending_count", c_uint32),
        ("systick", SysTick),
        ("idle", c_uint64),
        ("event", c_uint32),
        *(
            (name, c_uint32)
            for name in (
                *("vtor", "priority_group", "scr", "ccr", "shcsr_enables", "cfsr", "hfsr", "dfsr", "mmfar", "bfar"),
                *("afsr", "cpacr", "demcr", "csselr"),
            )
        ),
        ("others", c_uint32 * 6),
        ("mpu_control", c_uint32),
        ("mpu_region", c_uint32),
        ("mpu_base", c_uint32 * MPU_REGIONS),
        ("mpu_attributes", c_uint32 * MPU_REGIONS),
        ("refused", c_uint32),
        ("refused_vector", c_uint32),
        ("unprivileged_access", c_uint32),
        ("traps", c_uint32),
        ("trap", c_uint32),
        ("trap_address", c_uint32),
        ("trap_stored", c_uint32),
        ("trap_old", c_uint8 * 8),
        ("frame", c_uint32),
        ("nesting", c_uint32),
        ("interrupted", Interrupted * EXCEPTIONS),
    )


class PeripheralState(Structure):
    """The peripherals, which only C reads."""

    _fields_ = (
        ("first", c_void_p),
        ("last", c_void_p),
        ("output", c_void_p),
        ("poll", c_void_p),
        ("instructions", c_void_p),
        ("random", c_uint32),
        ("context", c_void_p),
        ("now", c_void_p),
        ("load", c_void_p),
        ("store", c_void_p),
    )


class Page(Structure):
    """A page of peripherals' registers."""

    _fields_ = (("probe", c_void_p), ("start", c_uint32))


class Probe(Structure):
    """The state of all hooks on one engine."""

    _fields_ = (
        ("api", UnicornApi),
        ("stop_reason", c_uint32),
        ("yield_address", c_uint32),
        ("exception", c_uint32),
        ("access_type", c_uint32),
        ("access_address", c_uint32),
        ("access_size", c_uint32),
        ("instructions", c_uint64),
        ("pause_at", c_uint64),
        ("event_at", c_uint64),
        ("block_serial", c_uint64),
        ("blocks", POINTER(Block)),
        ("block_count", c_uint32),
        ("block_capacity", c_uint32),
        ("current_block", c_uint32),
        ("previous_block", c_uint32),
        ("code_region_count", c_uint64),
        ("code_regions", POINTER(CodeRegion)),
        ("calls", CallTree),
        ("stacks", POINTER(StackState)),
        ("stack_count", c_uint32),
        ("current_stack", c_uint32),
        ("change_address", c_uint32),
        ("contexts", POINTER(Context)),
        ("context", c_uint32),
        ("stack_top", c_uint32),
        ("stack_floor", c_uint32),
        ("timeline", Timeline),
        ("heap_end", c_uint32),
        ("follows_break", c_uint32),
        ("below_heap_end", c_uint32),
        ("meeting_noted", c_uint32),
        ("meeting", Snapshot),
        ("allocator_entries", POINTER(AllocatorEntry)),
        ("moves_blocks", c_uint32),
        ("call_is_known", c_uint32),
        ("callers", Callers),
        ("heap_events", POINTER(HeapEvent)),
        ("heap_event_count", c_uint32),
        ("heap_event_capacity", c_uint32),
        ("data_region_count", c_uint64),
        ("data_regions", POINTER(c_uint32)),
        ("loads", POINTER(c_uint64)),
        ("stores", POINTER(c_uint64)),
        ("tried", POINTER(c_uint64)),
        ("tried_status", c_uint32),
        ("table", NativeTable),
        ("shadow", c_void_p),
        ("exceptions", POINTER(ExceptionState)),
        ("peripherals", PeripheralState),
        ("engine", c_void_p),
        ("exact_at", c_uint32),
        ("exact_accesses", c_uint32),
        ("exact_left", c_uint32),
        ("is_exact", c_uint32),
        ("exact_serial", c_uint64),
        ("refused_address", c_uint32),
        ("refused_size", c_uint32),
        ("refused_write", c_uint32),
    )


@cache
def unicorn_probe() -> ctypes.CDLL:
    """Return the compiled hooks; raises MissingToolError if the host has no C compiler."""
    library = ctypes.CDLL(str(_compiled()))
    library.probe_size.restype = c_size_t
    library.probe_cut_block.argtypes = (POINTER(Probe), c_void_p, c_uint32)
    library.probe_cut_block.restype = c_bool
    library.shadow_size.restype = library.instruction_size.restype = c_size_t
    library.probe_block_moved.argtypes = (POINTER(Probe), c_uint32)
    library.probe_block_moved.restype = None
    library.shadow_release.argtypes = (c_void_p,)
    library.shadow_release.restype = None
    library.probe_note_change.argtypes = (POINTER(Probe), c_void_p)
    library.probe_note_change.restype = None
    library.running_thread.argtypes = (POINTER(Probe),)
    library.running_thread.restype = c_uint32
    library.probe_start.argtypes = (POINTER(Probe),)
    library.probe_start.restype = c_bool
    library.probe_release.argtypes = (POINTER(Probe),)
    library.probe_release.restype = None
    library.exceptions_size.restype = c_size_t
    library.find_core_state.argtypes = (POINTER(Probe), c_void_p)
    library.find_core_state.restype = c_bool
    library.probe_run.argtypes = (POINTER(Probe), c_void_p, c_uint32)
    library.probe_run.restype = c_uint32
    library.probe_take_exception.argtypes = (POINTER(Probe), c_void_p, *(c_uint32,) * 4)
    library.probe_take_exception.restype = c_uint32
    library.probe_wait.argtypes = (POINTER(Probe), c_void_p, c_bool)
    library.probe_wait.restype = c_bool
    library.peripherals_start.argtypes = (POINTER(Probe), c_void_p, POINTER(PrintedBytes), POINTER(Poll))
    library.peripherals_start.restype = None
    library.peripherals_describe.argtypes = (POINTER(Probe), c_char_p)
    library.peripherals_describe.restype = c_bool
    library.peripherals_release.argtypes = (POINTER(Probe),)
    library.peripherals_release.restype = None
    mirrored = (
        (library.probe_size, Probe),
        (library.instruction_size, NativeInstruction),
        (library.exceptions_size, ExceptionState),
    )
    if any(size() != ctypes.sizeof(structure) for size, structure in mirrored):
        raise AssertionError("emu/native/unicorn/__init__.py does not mirror its headers")
    return library


def _compiled() -> Path:
    here = Path(__file__).parent
    common = here.parent / "common"
    include = Path(str(files("unicorn") / "include"))
    sources = sorted([*here.glob("*.c"), *common.glob("*.c")])
    read = [*sources, *sorted([*here.glob("*.h"), *common.glob("*.h")]), include / "unicorn" / "unicorn.h"]
    parts = [*_FLAGS, platform.machine(), *platform.libc_ver(), *(path.read_bytes() for path in read)]

    def make(directory: Path) -> None:
        arguments = [*_FLAGS, "-I", str(include), *map(str, sources), "-o", _LIBRARY]
        find_toolchain("host").run(arguments, directory)

    return cached("native", content_key(parts), make) / _LIBRARY
