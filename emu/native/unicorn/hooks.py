"""The native hooks on one Unicorn engine: their tables of the code, and their counters."""

from __future__ import annotations

import ctypes
import struct
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from ctypes import Array, c_uint8, c_uint32, c_uint64, c_void_p, cast
from typing import TYPE_CHECKING

from unicorn import (
    UC_ERR_OK,
    UC_HOOK_BLOCK,
    UC_HOOK_CODE,
    UC_HOOK_INTR,
    UC_HOOK_MEM_INVALID,
    UC_HOOK_MEM_READ,
    UC_HOOK_MEM_WRITE,
)
from unicorn.arm_const import UC_ARM_REG_CONTROL
from unicorn.unicorn_py3.unicorn import Uc, uclib

from emu.architectures.armv7em.code_map import CodeMap, zeros
from emu.firmware import Firmware
from emu.instruments import Instruments
from emu.native import (
    FIRST_INTERVAL,
    HEAP_BREAK,
    INTERVALS,
    AllocatorEntry,
    CallFrame,
    CallNode,
    FunctionRange,
    HeapCall,
    HeapEvent,
)
from emu.native.unicorn import (
    CONTEXTS,
    Block,
    CallerCapture,
    CodeRegion,
    Context,
    Probe,
    Snapshot,
    StackState,
    UnicornApi,
    unicorn_probe,
)
from emu.native.unicorn.exceptions import DIVISION_TRAP, MPU_TRAP, UNALIGNED_TRAP, NativeExceptions
from emu.native.unicorn.instructions import (
    WATCH_ALLOCATOR,
    WATCH_PROGRAM,
    WATCH_STACK_CHANGE,
    WATCH_STACK_POINTER,
    WATCH_STOP,
)
from emu.native.unicorn.peripherals import NativePeripherals
from emu.targets import Board

if TYPE_CHECKING:  # only some runs need them, and they import large libraries
    from emu.native.unicorn.instruction_table import InstructionTable
    from emu.native.unicorn.shadow import NativeShadow

_HEAP_EVENTS = 16_384
_HEAP_EVENT = struct.Struct("@7IQ")
_CALL_PATHS, _CALL_DEPTH = 65_536, 1024
_HEAP_PATHS, _HEAP_CAPTURES, _HEAP_STACK_BYTES = 16_384, 1024, 1 << 20
_NO_MEMORY = "no memory left for the counters"
_SPSEL = 2
_NO_INSTRUCTION = 1
"""An odd address: no instruction can be there."""


class NativeHooks:
    """Counters of one run, from reset on. ``close`` must be called after the engine has stopped for good."""

    def __init__(
        self,
        engine: Uc,
        firmware: Firmware,
        code: CodeMap,
        yield_address: int | None,
        exits: Sequence[int],
        allocator: Sequence[AllocatorEntry],
        instruments: Instruments,
        *,
        bare: bool,
        shadow: NativeShadow | None = None,
    ):
        self._library = unicorn_probe()
        self._engine = engine
        self._code = code
        self._probe = Probe()
        self._probe.api = UnicornApi(
            *(cast(getattr(uclib, f"uc_{name}"), c_void_p) for name in (field[0] for field in UnicornApi._fields_))
        )
        self.exceptions = NativeExceptions(self._library, engine, self._probe, firmware)
        self._contexts = (Context * CONTEXTS)()
        self._probe.contexts = self._contexts
        self.peripherals = NativePeripherals(self._library, engine, self._probe, firmware.board)
        self._checks_accesses = False
        each = instruments.traffic or shadow is not None
        self._table = self._open_table(firmware) if each else None
        self._watches: defaultdict[int, int] = defaultdict(int)
        self._probe.yield_address = yield_address if yield_address is not None else _NO_INSTRUCTION
        for address in exits if yield_address is None else (yield_address, *exits):
            self._watch(address, address, "probe_stop_point", WATCH_STOP)
        self._hook(UC_HOOK_INTR, "probe_exception")
        self._hook(UC_HOOK_MEM_INVALID, "probe_invalid_access")
        if bare:
            return
        if instruments.profile:
            self._watch_calls(firmware)
        self._watch_code()
        self._watch_stacks(firmware)
        self._watch_heap(allocator)
        if instruments.traffic:
            self._watch_traffic(firmware.board)
        if shadow is not None:
            self._probe.shadow = shadow.address
            main = firmware.entry_of("main")
            if main is not None:
                self._watches[main] |= WATCH_PROGRAM
        if self._table is not None:
            self._hook(UC_HOOK_CODE, "probe_instruction")

    def _open_table(self, firmware: Firmware) -> InstructionTable:
        from emu.native.unicorn.instruction_table import InstructionTable

        return InstructionTable(self._probe.table, firmware, self._code.regions)

    # ---- attaching ---------------------------------------------------------------------------------------------------

    def _hook(self, kind: int, callback: str, first: int = 1, last: int = 0) -> None:
        handle = ctypes.c_size_t()
        function = cast(getattr(self._library, callback), c_void_p)
        probe = cast(ctypes.byref(self._probe), c_void_p)
        error = uclib.uc_hook_add(self._engine._uch, ctypes.byref(handle), kind, function, probe, first, last)
        if error != UC_ERR_OK:
            raise MemoryError(f"Unicorn cannot add a hook (error {error})")

    def _watch(self, first: int, last: int, callback: str, watch: int) -> None:
        """Call ``callback`` from ``first`` to ``last``, or mark the address for the hook on every instruction."""
        if self._table is None:
            self._hook(UC_HOOK_CODE, callback, first, last)
        elif first == last:
            self._watches[first] |= watch

    def _watch_at(self, address: int) -> int:
        """Return the other tasks of the hook on every instruction at ``address``."""
        unknown = any(first <= address <= last for first, last in self._code.unknown)
        return self._watches.get(address, 0) | (WATCH_STACK_CHANGE if unknown else 0)

    def watch_traps(self) -> None:
        """Attach the hooks of the traps that the firmware has switched on; translate all code again."""
        if self.exceptions.traps_wanted & DIVISION_TRAP:
            for address in self._code.divisions:
                self._hook(UC_HOOK_CODE, "probe_division", address, address)
        if self.exceptions.traps_wanted & (UNALIGNED_TRAP | MPU_TRAP) and not self._checks_accesses:
            self._hook(UC_HOOK_MEM_READ | UC_HOOK_MEM_WRITE, "probe_checked_access")
            self._checks_accesses = True
        self.exceptions.note_traps()
        self._engine.ctl_flush_tb()

    def _watch_calls(self, firmware: Firmware) -> None:
        calls, functions = self._probe.calls, firmware.functions
        calls.functions = (FunctionRange * len(functions))(*(FunctionRange(f.start, f.end) for f in functions))
        calls.function_count = len(functions)
        calls.nodes, calls.node_capacity = (CallNode * _CALL_PATHS)(), _CALL_PATHS
        calls.frames, calls.frame_capacity = (CallFrame * _CALL_DEPTH)(), _CALL_DEPTH

    def _watch_code(self) -> None:
        regions = []
        self._of_code: list[Array[c_uint32] | Array[c_uint8]] = []  # Python must keep them alive, as C does not
        for region, deltas in zip(self._code.regions, self._code.deltas, strict=True):
            block_at, is_returned_to = zeros(c_uint32, region.size // 2), zeros(c_uint8, region.size // 2)
            self._of_code += [block_at, is_returned_to]
            arrays = (block_at, is_returned_to, deltas)
            regions.append(CodeRegion(region.start, region.end, *map(ctypes.addressof, arrays)))
        self._probe.code_regions = (CodeRegion * len(regions))(*regions)
        self._probe.code_region_count = len(regions)
        if not self._library.probe_start(ctypes.byref(self._probe)):
            raise MemoryError(_NO_MEMORY)
        self._hook(UC_HOOK_BLOCK, "probe_block")
        for address in self._code.events:
            self._hook(UC_HOOK_CODE, "probe_event", address, address)

    def _watch_stacks(self, firmware: Firmware) -> None:
        self._probe.stack_top, self._probe.stack_floor = firmware.initial_sp, firmware.stack_region.start
        timeline = self._probe.timeline
        timeline.lowest, timeline.capacity, timeline.length = (c_uint32 * INTERVALS)(), INTERVALS, FIRST_INTERVAL
        self._stacks = (StackState * 1)()
        self._snapshot_memory: list[Array[c_uint8]] = []  # Python must keep the object alive, as C does not
        for address in sorted(self._code.behind_dynamic):
            self._watch(address, address, "probe_stack_pointer", WATCH_STACK_POINTER)
        for address in sorted(self._code.behind_anew):
            self._watch(address, address, "probe_stack_change", WATCH_STACK_CHANGE)
        for first, last in self._code.unknown:
            self._watch(first, last, "probe_stack_change", WATCH_STACK_CHANGE)
        for address in self._code.behind_saves:
            self._hook(UC_HOOK_CODE, "probe_saved_registers", address, address)

    def _watch_heap(self, allocator: Sequence[AllocatorEntry]) -> None:
        self._probe.allocator_entries = (AllocatorEntry * len(allocator))(*allocator)
        self._probe.heap_event_capacity = _HEAP_EVENTS if allocator else 0
        self._probe.heap_events = (HeapEvent * self._probe.heap_event_capacity)()
        self._probe.follows_break = any(entry.function == HEAP_BREAK for entry in allocator)
        self._probe.meeting.stack = (c_uint8 * (self._probe.stack_top - self._probe.stack_floor))()
        callers = self._probe.callers
        callers.slot_count, callers.path_capacity = 2 * _HEAP_PATHS, _HEAP_PATHS
        callers.keys, callers.numbers = (c_uint64 * callers.slot_count)(), (c_uint32 * callers.slot_count)()
        callers.captures, callers.capture_capacity = (CallerCapture * _HEAP_CAPTURES)(), _HEAP_CAPTURES
        callers.stacks, callers.stack_capacity = (c_uint8 * _HEAP_STACK_BYTES)(), _HEAP_STACK_BYTES
        for entry in allocator:
            self._watch(entry.address, entry.address, "probe_allocator_entry", WATCH_ALLOCATOR)

    def _watch_traffic(self, board: Board) -> None:
        count = len(board.memory)
        bounds = [bound for region in board.memory for bound in (region.start, region.end)]
        self._probe.data_regions = (c_uint32 * len(bounds))(*bounds)
        self._probe.data_region_count = count
        self._probe.loads, self._probe.stores = (c_uint64 * count)(), (c_uint64 * count)()

    # ---- running -----------------------------------------------------------------------------------------------------

    def run_until(self, instructions: int) -> None:
        """Pause the engine after ``instructions`` instructions since reset; forget the last stop."""
        self._probe.pause_at = instructions
        self._probe.stop_reason = self._probe.exception = self._probe.access_type = 0
        self.exceptions.begin()
        self.peripherals.begin()

    def run(self, pc: int) -> int:
        """Run from ``pc`` until something stops the engine; return Unicorn's error number.

        Raises what a Python callback has raised.
        """
        self._engine._hook_exception = None
        error = self._library.probe_run(ctypes.byref(self._probe), self._engine._uch, pc)
        if self._engine._hook_exception is not None:
            raise self._engine._hook_exception
        return error

    def pause(self) -> None:
        """Pause the engine before its next block. Another thread may call this."""
        self._probe.pause_at = 0

    def describe_code(self, read: Callable[[int, int], bytes]) -> None:
        """Describe the block at which the engine stopped for its description; ``read`` returns memory."""
        assert self._table is not None, "only the hook on every instruction stops for that"
        self._table.describe_code(read, self._watch_at)

    @property
    def stop_reason(self) -> int:
        """Why the hooks stopped the engine: one of the ``STOP_`` numbers."""
        return self._probe.stop_reason

    @property
    def exception(self) -> int | None:
        """The number of the exception that stopped the engine."""
        return self._probe.exception or None

    @property
    def access(self) -> tuple[int, int, int] | None:
        """Unicorn's type, the address and the bytes of the access to memory that stopped the engine."""
        probe = self._probe
        return (probe.access_type, probe.access_address, probe.access_size) if probe.access_type else None

    def cut_block(self, pc: int) -> None:
        """Subtract the part of the current block that did not run, if the engine stopped at ``pc`` inside the block."""
        block = self.current_block
        if block is None or not block.address <= pc < block.address + block.size:
            return
        if not self._library.probe_cut_block(ctypes.byref(self._probe), self._engine._uch, pc):
            raise MemoryError(_NO_MEMORY)

    # ---- stacks ------------------------------------------------------------------------------------------------------

    def add_stack(self, stack: StackState) -> None:
        """Follow SP on another stack from now on; that stack is then the last one of ``stacks``."""
        for snapshot in stack.snapshots:
            snapshot.lowest = snapshot.pc = stack.top
            snapshot.registers[13] = stack.top
            memory = (c_uint8 * (stack.top - stack.floor))()
            self._snapshot_memory.append(memory)
            snapshot.stack = memory
        self._contexts[len(self._stacks)].lowest = stack.top
        self._stacks = (StackState * (len(self._stacks) + 1))(*self._stacks, stack)
        self._probe.stacks, self._probe.stack_count = self._stacks, len(self._stacks)

    @property
    def stacks(self) -> Array[StackState]:
        """Every stack on which SP is followed; the first element means no stack."""
        return self._stacks

    @property
    def current_stack(self) -> int:
        """The index in ``stacks`` of the stack that SP is on."""
        return self._probe.current_stack

    def enter_stack(self, index: int, sp: int) -> None:
        """Set the index in ``stacks`` of the stack that SP is on, and note SP there, which may be an overflow."""
        if index == 0:  # so that Python is not asked about this SP again
            self._stacks[0].top = self._stacks[0].limit = sp
            self._stacks[0].process = self.process_stack_in_use
        self._probe.current_stack = index
        self._library.probe_note_change(ctypes.byref(self._probe), self._engine._uch)

    @property
    def process_stack_in_use(self) -> bool:
        """Whether SP is PSP, and not MSP."""
        return bool(self._engine.reg_read(UC_ARM_REG_CONTROL) & _SPSEL)

    @property
    def thread(self) -> int:
        """The index in ``stacks`` of the thread that runs, or that exceptions have interrupted."""
        return self._library.running_thread(ctypes.byref(self._probe))

    @property
    def contexts(self) -> Array[Context]:
        """First the thread of each stack in ``stacks``, then from ``MOST_STACKS`` on the handler of each exception."""
        return self._contexts

    @property
    def change_address(self) -> int:
        """The address after the instruction that moved SP away from all ``stacks``."""
        return self._probe.change_address

    def close(self) -> None:
        """Release the counters."""
        self.exceptions.close()
        self.peripherals.close()
        self._library.probe_release(ctypes.byref(self._probe))
        self._probe.block_count = self._probe.block_capacity = 0

    # ---- the allocator -----------------------------------------------------------------------------------------------

    def move_blocks(self) -> None:
        """Stop when the allocator gets or returns a block: Python gives the program other memory for the block."""
        self._probe.moves_blocks = 1

    @property
    def allocator_call(self) -> HeapCall:
        """The allocator call at which the engine stopped."""
        return self._contexts[self._probe.context].heap_call

    def block_moved(self, result: int) -> None:
        """Set the value that the call returns instead."""
        self._library.probe_block_moved(ctypes.byref(self._probe), result)

    # ---- reading -----------------------------------------------------------------------------------------------------

    @property
    def instructions(self) -> int:
        """Instructions retired since reset."""
        return self._probe.instructions

    @property
    def current_block(self) -> Block | None:
        """The piece of straight-line code that ran last, or None if no code ran."""
        return self._probe.blocks[self._probe.current_block] if self._probe.current_block else None

    @property
    def previous_block(self) -> Block | None:
        """The piece of straight-line code that ran before the current one."""
        return self._probe.blocks[self._probe.previous_block] if self._probe.previous_block else None

    @property
    def blocks(self) -> Iterator[tuple[int, int, int, int]]:
        """Address, bytes, instructions and executions of each piece of straight-line code that ran."""
        for index in range(1, self._probe.block_count):
            block = self._probe.blocks[index]
            yield block.address, block.size, block.instructions, block.executions

    @property
    def call_paths(self) -> Iterator[tuple[int, int, int]]:
        """For each call path: its caller's number, its function's index + 1 (or 0), and its instructions.

        Callers come before their callees; the first path is number 0 and has no function.
        """
        for index in range(self._probe.calls.node_count):
            node = self._probe.calls.nodes[index]
            yield node.caller, node.function, node.instructions

    @property
    def call_paths_cut(self) -> bool:
        """Whether there were more call paths than are kept, or a deeper path."""
        return bool(self._probe.calls.cut)

    def take_heap_events(self) -> list[tuple[int, ...]]:
        """Return the allocator calls since the last time, each with the fields of ``HeapEvent`` in their order."""
        count, self._probe.heap_event_count = self._probe.heap_event_count, 0
        taken = ctypes.string_at(self._probe.heap_events, count * ctypes.sizeof(HeapEvent)) if count else b""
        return [*_HEAP_EVENT.iter_unpack(taken)]

    def take_callers(self) -> list[tuple[list[int], int, int, bytes, int]]:
        """Return the machine at the allocator's entry, once for each new call path.

        The fields are r0 to r15, the address after a jump to the allocator (0 after a call), SP, the stack's bytes from
        SP on, and the thread's index in ``stacks``. The paths have numbers in this order, from 1 on.
        """
        callers = self._probe.callers
        stacks = ctypes.string_at(callers.stacks, callers.stack_bytes) if callers.stack_bytes else b""
        taken = [
            (
                list(capture.registers),
                capture.jumped_from,
                capture.registers[13],
                stacks[capture.offset : capture.offset + capture.size],
                capture.thread,
            )
            for capture in callers.captures[: callers.capture_count]
        ]
        callers.capture_count = callers.stack_bytes = 0
        return taken

    def take_meeting(self) -> Snapshot | None:
        """Return the machine when SP fell below the heap's end since the last call; None if it did not."""
        if not self._probe.meeting_noted:
            return None
        self._probe.meeting_noted = 0
        return self._probe.meeting

    @property
    def heap_end(self) -> int:
        """The first address after the heap if heap and stack share a memory, with the heap below; else 0."""
        return self._probe.heap_end

    @property
    def timeline(self) -> tuple[int, list[int]]:
        """Instructions of an interval, and the lowest SP of each interval from reset on."""
        timeline = self._probe.timeline
        return timeline.length, timeline.lowest[: timeline.count]

    @property
    def loads(self) -> list[int]:
        """Loads from each memory of the board."""
        return self._probe.loads[: self._probe.data_region_count]

    @property
    def stores(self) -> list[int]:
        """Stores to each memory of the board."""
        return self._probe.stores[: self._probe.data_region_count]
