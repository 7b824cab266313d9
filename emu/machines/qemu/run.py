"""One run in QEMU: the process from reset on, and its events so far."""

import ctypes
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np

from emu.architectures.core import Core, StackPeak, stack_bytes
from emu.firmware import Firmware
from emu.machines.output import Output
from emu.machines.qemu.process import QemuProcess
from emu.machines.qemu.stacks import Stacks
from emu.native import HeapEvent
from emu.native.qemu import RESET_STACK, Lowest, Shared
from emu.probes.callers import Capture
from emu.probes.heap import HeapLedger
from emu.probes.main_stack import main_stack_use
from emu.probes.overflow import Overflow, find_overflow, first_stack_overflow
from emu.probes.stack import StackPaint
from emu.record import Fault, Frame

_ALIGNMENT = 8
"""The core aligns SP to this many bytes before it pushes an exception's frame."""


@dataclass
class Run:
    """The state of one boot."""

    firmware: Firmware
    core: Core
    process: QemuProcess
    paint: StackPaint | None
    handlers: frozenset[int]
    """The addresses of ``QemuCore.stops``."""
    ledger: HeapLedger
    output: Output = field(default_factory=Output)
    faults: list[Fault] = field(default_factory=list)
    waiting: bool = False
    """Whether the firmware waits at ``emu_yield``."""
    exit_status: int | None = None
    cut_block: tuple[int, int, int, int] | None = None
    """Address, bytes, instructions and executions (1) of the last block's part that ran."""
    overflow: Overflow | None = None
    """The stack whose overflow ended the run."""
    stacks: Stacks | None = None
    """None if SP is not followed from stack to stack."""
    stack_in_heap: bool = False
    """Whether SP has been moved to a block of the heap."""

    @property
    def shared(self) -> Shared:
        """The plugin's counters."""
        return self.process.shared

    @property
    def blocks(self) -> list[tuple[int, int, int, int]]:
        """Address, bytes, instructions and executions of the blocks that ran."""
        blocks = np.ctypeslib.as_array(self.shared.blocks)
        ran = blocks[blocks["executions"] > 0]
        cut = [] if self.cut_block is None else [self.cut_block]
        return [(int(b["address"]), int(b["size"]), int(b["instructions"]), int(b["executions"])) for b in ran] + cut

    @property
    def call_paths(self) -> list[tuple[int, int, int]]:
        """For each call path: its caller's number, its function's index + 1 (or 0), and its instructions."""
        nodes = self.shared.nodes[: self.shared.calls.node_count]
        return [(node.caller, node.function, node.instructions) for node in nodes]

    @property
    def lowest(self) -> Lowest:
        """The machine when the stack that the firmware starts on was lowest."""
        return self.shared.stacks[RESET_STACK].lowest

    @property
    def task(self) -> str | None:
        """The task that runs; None if it is the first stack's, or if tasks are not known."""
        return self.stacks.found.task(self.shared.current_stack) if self.stacks is not None else None

    def peek(self, address: int, size: int) -> bytes:
        """Return memory, or nothing if there is none."""
        return self.process.memory.peek(address, size)

    def peak(self, lowest: Lowest) -> tuple[int, list[Frame]]:
        """Return the bytes of the first stack when SP was ``lowest``, and the frames at that moment."""
        top, stack = self.firmware.initial_sp, bytes(lowest.stack[: lowest.stack_bytes])
        registers = self.core.at(list(lowest.registers), lowest.pc)
        peak = StackPeak(lowest.sp, lowest.lowered_at, registers, lowest.stack_start, stack)
        return stack_bytes(self.core, lowest.sp, top), self.core.peak_backtrace(peak, top)

    def overflow_without_frame(self, sp: int | None) -> Overflow | None:
        """Return the overflow after which the core could not push an exception's frame; None if its stack is not known.

        ``sp`` is MSP from before the exception; None if the core was on its process stack.
        """
        lowest, departure, firmware, core = self.lowest, self.shared.departure, self.firmware, self.core
        if departure.sp and (sp is None or departure.sp <= sp < departure.sp + _ALIGNMENT):
            registers = core.at(list(departure.registers), departure.pc)
            found = find_overflow(firmware, core, "unmapped_write", registers, self.peek)
            return None if found is None else replace(found, on_process_stack=sp is None)
        peak, backtrace = self.peak(lowest)
        if sp is None or main_stack_use(firmware, core.stack_pointer, lowest.sp, peak, backtrace) is None:
            return None
        return first_stack_overflow(firmware, core, min(sp, lowest.sp), backtrace)

    def serve_plugin(self) -> None:
        """Take the allocator's calls if the plugin waits for that, and let the plugin go on."""
        if self.shared.heap.waits:
            self.follow_heap()
            if self.stacks is not None:
                self.stacks.answer()
            self.shared.heap.waits = 0

    def follow_heap(self) -> None:
        """Replay the allocator's calls since the last time; QEMU or the plugin must be stopped."""
        heap = self.shared.heap
        events = ctypes.string_at(heap.events, heap.event_count * ctypes.sizeof(HeapEvent)) if heap.event_count else b""
        self.ledger.add(np.frombuffer(events, np.dtype(HeapEvent)).tolist(), self._captures())
        heap.event_count = heap.capture_count = heap.stack_bytes = 0
        if heap.meeting_noted:
            heap.meeting_noted = 0
            self._meet()

    def _captures(self) -> Iterator[Capture]:
        heap = self.shared.heap
        stacks = ctypes.string_at(heap.stacks, heap.stack_bytes) if heap.stack_bytes else b""
        for capture in heap.captures[: heap.capture_count]:
            yield Capture(
                self.core.at(list(capture.registers), capture.entry),
                capture.jumped_from,
                capture.stack_start,
                stacks[capture.offset : capture.offset + capture.stack_bytes],
                capture.thread,
            )

    def _meet(self) -> None:
        """Find why SP fell below the heap's end: by a call, or by a move to a stack in a heap block."""
        heap, machine = self.shared.heap, self.shared.heap.meeting
        if self.core.sets_sp_anew(machine.lowered_at):
            block = self.ledger.block_near(machine.sp - 1)
            self.stack_in_heap |= block is not None and block.freed is None
        if self.stack_in_heap:
            heap.has_met = 1
            return
        _, backtrace = self.peak(machine)
        heap.has_met = self.ledger.meet(heap.met_from, machine.sp, backtrace, heap.end)
