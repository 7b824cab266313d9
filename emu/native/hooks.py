"""The native hooks on one Unicorn engine: what they need to know of the code, and the counters that they fill."""

import ctypes
from collections.abc import Iterator, Sequence
from ctypes import Array, c_uint8, c_uint32, c_uint64, c_void_p, cast

import numpy as np
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

from emu.firmware import Firmware
from emu.native import (
    AllocatorEntry,
    Block,
    CallFrame,
    CallNode,
    CodeRegion,
    FunctionRange,
    HeapEvent,
    Probe,
    StackState,
    UnicornApi,
    unicorn_probe,
)
from emu.targets import Board
from emu.thumb import DYNAMIC, stack_effects

_HEAP_EVENTS = 16_384
_CALL_PATHS, _CALL_DEPTH = 65_536, 1024
_NO_MEMORY = "no memory left for the counters"
_SPSEL = 2
_NO_INSTRUCTION = 1
"""An address at which no instruction can be."""


class CodeMap:
    """How the firmware's instructions change SP: for each region that code may run from, one entry a halfword."""

    def __init__(self, firmware: Firmware):
        self.regions = tuple(region for region in firmware.board.memory if region.executable)
        self.deltas = [np.zeros(region.size // 2, np.int32) for region in self.regions]
        self.behind_dynamic: set[int] = set()
        """The addresses at which SP has to be looked at, as it was moved by some amount."""
        self.behind_anew: set[int] = set()
        """The addresses at which it has to be looked at, as it may be on another stack."""
        for start, code in firmware.code():
            for effect in stack_effects(code, start):
                self._set(effect.address, effect.delta)
                if effect.delta == DYNAMIC:
                    (self.behind_anew if effect.anew else self.behind_dynamic).add(effect.following)
        self.unknown = tuple(self._without(firmware))
        """First and last address of the memory in which nothing tells code from data: each instruction is watched."""

    def delta_at(self, address: int) -> int:
        """Return by how many bytes the instruction at ``address`` changes SP, or DYNAMIC."""
        for region, deltas in zip(self.regions, self.deltas, strict=True):
            if address in region:
                return int(deltas[(address - region.start) // 2])
        return 0

    def _set(self, address: int, delta: int) -> None:
        for region, deltas in zip(self.regions, self.deltas, strict=True):
            if address in region:
                deltas[(address - region.start) // 2] = delta
                return

    def _without(self, firmware: Firmware) -> Iterator[tuple[int, int]]:
        known = sorted((section.address, section.end) for section in firmware.mapped_sections)
        for region in self.regions:
            start = region.start
            for first, end in known:
                if first in region:
                    if start < first:
                        yield start, first - 1
                    start = max(start, end)
            if start < region.end:
                yield start, region.end - 1


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
        *,
        traffic: bool,
        profile: bool,
        bare: bool,
    ):
        self._library = unicorn_probe()
        self._engine = engine
        self._code = code
        self._probe = Probe()
        self._probe.api = UnicornApi(
            *(cast(f, c_void_p) for f in (uclib.uc_reg_read, uclib.uc_mem_read, uclib.uc_emu_stop))
        )
        self._probe.yield_address = yield_address if yield_address is not None else _NO_INSTRUCTION
        for address in exits if yield_address is None else (yield_address, *exits):
            self._hook(UC_HOOK_CODE, "probe_stop_point", address, address)
        self._hook(UC_HOOK_INTR, "probe_exception")
        self._hook(UC_HOOK_MEM_INVALID, "probe_invalid_access")
        if bare:
            return
        if profile:
            self._watch_calls(firmware)
        self._watch_code()
        self._watch_stacks()
        self._watch_heap(allocator)
        if traffic:
            self._watch_traffic(firmware.board)

    # ---- attaching ---------------------------------------------------------------------------------------------------

    def _hook(self, kind: int, callback: str, first: int = 1, last: int = 0) -> None:
        handle = ctypes.c_size_t()
        function = cast(getattr(self._library, callback), c_void_p)
        probe = cast(ctypes.byref(self._probe), c_void_p)
        error = uclib.uc_hook_add(self._engine._uch, ctypes.byref(handle), kind, function, probe, first, last)
        if error != UC_ERR_OK:
            raise MemoryError(f"Unicorn cannot add a hook (error {error})")

    def _watch_calls(self, firmware: Firmware) -> None:
        calls, functions = self._probe.calls, firmware.functions
        calls.functions = (FunctionRange * len(functions))(*(FunctionRange(f.start, f.end) for f in functions))
        calls.function_count = len(functions)
        calls.nodes, calls.node_capacity = (CallNode * _CALL_PATHS)(), _CALL_PATHS
        calls.frames, calls.frame_capacity = (CallFrame * _CALL_DEPTH)(), _CALL_DEPTH

    def _watch_code(self) -> None:
        regions = []
        self._block_at: list[np.ndarray] = []  # the C side does not keep them alive
        for region, deltas in zip(self._code.regions, self._code.deltas, strict=True):
            block_at = np.zeros(region.size // 2, np.uint32)
            self._block_at.append(block_at)
            regions.append(CodeRegion(region.start, region.end, block_at.ctypes.data, deltas.ctypes.data))
        self._probe.code_regions = (CodeRegion * len(regions))(*regions)
        self._probe.code_region_count = len(regions)
        if not self._library.probe_start(ctypes.byref(self._probe)):
            raise MemoryError(_NO_MEMORY)
        self._hook(UC_HOOK_BLOCK, "probe_block")

    def _watch_stacks(self) -> None:
        self._stacks = (StackState * 1)()
        self._snapshot_memory: list[Array[c_uint8]] = []  # the C side does not keep it alive
        for address in sorted(self._code.behind_dynamic):
            self._hook(UC_HOOK_CODE, "probe_stack_pointer", address, address)
        for address in sorted(self._code.behind_anew):
            self._hook(UC_HOOK_CODE, "probe_stack_change", address, address)
        for first, last in self._code.unknown:
            self._hook(UC_HOOK_CODE, "probe_stack_change", first, last)

    def _watch_heap(self, allocator: Sequence[AllocatorEntry]) -> None:
        self._probe.allocator_entries = (AllocatorEntry * len(allocator))(*allocator)
        self._probe.heap_event_capacity = _HEAP_EVENTS if allocator else 0
        self._probe.heap_events = (HeapEvent * self._probe.heap_event_capacity)()
        for entry in allocator:
            self._hook(UC_HOOK_CODE, "probe_allocator_entry", entry.address, entry.address)

    def _watch_traffic(self, board: Board) -> None:
        count = len(board.memory)
        bounds = [bound for region in board.memory for bound in (region.start, region.end)]
        self._probe.data_regions = (c_uint32 * len(bounds))(*bounds)
        self._probe.data_region_count = count
        self._probe.loads, self._probe.stores = (c_uint64 * count)(), (c_uint64 * count)()
        self._hook(UC_HOOK_MEM_READ | UC_HOOK_MEM_WRITE, "probe_traffic")

    # ---- running -----------------------------------------------------------------------------------------------------

    def run_until(self, instructions: int) -> None:
        """Let the engine pause when so many instructions have retired since reset; forget why it stopped before."""
        self._probe.pause_at = instructions
        self._probe.stop_reason = self._probe.exception = self._probe.access_type = 0

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
        """Take back what did not run of the current block, where the engine stopped at ``pc`` inside it."""
        block = self.current_block
        if block is None or not block.address <= pc < block.address + block.size:
            return
        if not self._library.probe_cut_block(ctypes.byref(self._probe), self._engine._uch, pc):
            raise MemoryError(_NO_MEMORY)

    # ---- stacks ------------------------------------------------------------------------------------------------------

    def add_stack(self, stack: StackState) -> None:
        """Let SP be followed on another stack, from now on; ``stacks`` holds it at the end."""
        for snapshot in stack.snapshots:
            snapshot.lowest = snapshot.pc = stack.top
            snapshot.registers[13] = stack.top
            memory = (c_uint8 * (stack.top - stack.floor))()
            self._snapshot_memory.append(memory)
            snapshot.stack = memory
        self._stacks = (StackState * (len(self._stacks) + 1))(*self._stacks, stack)
        self._probe.stacks, self._probe.stack_count = self._stacks, len(self._stacks)

    @property
    def stacks(self) -> Array[StackState]:
        """Every stack that SP is followed on; the first one stands for none."""
        return self._stacks

    @property
    def current_stack(self) -> int:
        """Which of ``stacks`` SP is on."""
        return self._probe.current_stack

    def enter_stack(self, index: int, sp: int) -> None:
        """Say which of ``stacks`` SP has been found to be on, and note it there, which may be an overflow."""
        if index == 0:  # so that it is not asked about again
            self._stacks[0].top = self._stacks[0].limit = sp
            self._stacks[0].process = self.process_stack_in_use
        self._probe.current_stack = index
        self._library.probe_note_change(ctypes.byref(self._probe), self._engine._uch)

    @property
    def process_stack_in_use(self) -> bool:
        """Whether SP is PSP, and not MSP."""
        return bool(self._engine.reg_read(UC_ARM_REG_CONTROL) & _SPSEL)

    @property
    def change_address(self) -> int:
        """Where code stood when SP was found to be on none of ``stacks``: behind the instruction that did it."""
        return self._probe.change_address

    def close(self) -> None:
        """Release the counters."""
        self._library.probe_release(ctypes.byref(self._probe))
        self._probe.block_count = self._probe.block_capacity = 0

    # ---- reading -----------------------------------------------------------------------------------------------------

    @property
    def instructions(self) -> int:
        """Retired since reset."""
        return self._probe.instructions

    @property
    def current_block(self) -> Block | None:
        """The piece of straight-line code that ran last, or None where none did."""
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
        """Of each call path: the number of its caller's, the index of its function + 1 or 0, and its instructions.

        Callers come before what they call; the first path is number 0 and has no function.
        """
        for index in range(self._probe.calls.node_count):
            node = self._probe.calls.nodes[index]
            yield node.caller, node.function, node.instructions

    @property
    def call_paths_cut(self) -> bool:
        """Whether there were more call paths than are kept, or a deeper one."""
        return bool(self._probe.calls.cut)

    def take_heap_events(self) -> list[HeapEvent]:
        """Return the allocator calls since the last time."""
        count, self._probe.heap_event_count = self._probe.heap_event_count, 0
        return self._probe.heap_events[:count]

    @property
    def loads(self) -> list[int]:
        """Loads from each memory of the board."""
        return self._probe.loads[: self._probe.data_region_count]

    @property
    def stores(self) -> list[int]:
        """Stores to each memory of the board."""
        return self._probe.stores[: self._probe.data_region_count]
