"""Firmware in QEMU: the core with its exceptions and interrupts, and the board's memory; nothing else of the board."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

import numpy as np

from emu.firmware import Firmware
from emu.machines import Limits, Measurements, Stop
from emu.machines.output import Output
from emu.machines.qemu.core import Core, CoreFault
from emu.machines.qemu.cores import core_of
from emu.machines.qemu.gdb_remote import GdbError
from emu.machines.qemu.process import QemuProcess
from emu.probes.allocators import allocator_entries
from emu.probes.heap import HeapLedger
from emu.probes.instructions import measure_instructions
from emu.probes.stack import StackPaint
from emu.probes.traffic import by_region
from emu.record import Fault, Heap, Stack, StackUse
from emu.targets import Target

_EXIT_FUNCTIONS = ("_exit", "emu_exit")
_POLL_SECONDS = 0.02
_STOP_SECONDS = 3.0
"""How long QEMU may take to stop when it is told to."""
_OTHER_STACKS = "the firmware has more than one stack, of which QEMU's machine follows none"
_ONLY_UNICORN = "not measured in QEMU: use the target's Unicorn"


@dataclass
class _Run:
    """What one boot made: the process, and what has been seen of it since."""

    process: QemuProcess
    paint: StackPaint | None
    exits: tuple[int, ...]
    handlers: frozenset[int]
    """Where it stops because there may be a fault."""
    output: Output = field(default_factory=Output)
    output_bytes: int = 0
    faults: list[Fault] = field(default_factory=list)
    waiting: bool = False
    """Whether the firmware stands at ``emu_yield``."""
    exit_status: int | None = None
    cut_block: tuple[int, int, int, int] | None = None
    """Of the block that the run ended in: address, bytes and instructions of what has run of it, once."""


class QemuMachine:
    """One firmware in QEMU (see ``emu.machines.Machine``); one process for each boot.

    ``traffic`` also counts loads and stores. What is written is meant to be data: code that has run is not run anew.
    """

    def __init__(self, firmware: Firmware, target: Target, *, limits: Limits | None = None, traffic: bool = False):
        self._firmware = firmware
        self._target = target
        self._limits = limits or Limits()
        self._traffic = traffic
        self._core: Core = core_of(firmware)
        self._run: _Run | None = None

    def boot(self) -> Stop:
        """Reset, and run to the first arrival at ``emu_yield``, or to the end.

        Raises MissingToolError where QEMU is missing, or is one that cannot be used.
        """
        self.close()
        self._run = run = self._reset()
        return self._go(run)

    def resume(self) -> Stop:
        """Go on as if ``emu_yield`` had returned; raises RuntimeError where the firmware does not wait there."""
        run = self._running
        if not run.waiting:
            raise RuntimeError("the firmware does not wait at emu_yield")
        return self._go(run)

    def read(self, address: int, size: int) -> bytes:
        """Return ``size`` bytes of the firmware's memory; raises ValueError where there is none."""
        try:
            return self._running.process.memory.read(address, size)
        except ValueError as error:
            raise ValueError(f"{self._target.name} has no {size} bytes of memory at {address:#010x}") from error

    def read_output(self, address: int, size: int) -> bytes:
        """Return the same: nothing here checks whether it was ever set."""
        return self.read(address, size)

    def write(self, address: int, data: bytes) -> None:
        """Replace memory from ``address`` on; raises ValueError where there is none."""
        try:
            self._running.process.memory.write(address, data)
        except ValueError as error:
            raise ValueError(f"{self._target.name} has no {len(data)} bytes of memory at {address:#010x}") from error

    def close(self) -> None:
        """End QEMU; calling it again does nothing."""
        if self._run is not None:
            self._run.process.close()
            self._run = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    @property
    def process_id(self) -> int:
        """QEMU's process."""
        return self._running.process.process_id

    @property
    def _running(self) -> _Run:
        if self._run is None:
            raise RuntimeError("the machine has not been booted")
        return self._run

    # ---- measuring ---------------------------------------------------------------------------------------------------

    def measure(self) -> Measurements:
        """Return what was measured since ``boot``."""
        run, firmware, shared = self._running, self._firmware, self._running.process.shared
        not_measured: dict[str, str] = {}
        for figure in ("profile", "coverage", "memory_check", "timeline"):
            not_measured[figure] = _ONLY_UNICORN
        instructions = measure_instructions(firmware, shared.instructions, self._blocks(run), self._peek)
        if not firmware.symbols:
            not_measured["by_function"] = "the ELF has no symbols"
            instructions = instructions.model_copy(update={"by_function": {}})
        if self._traffic:
            memory = firmware.board.memory
            loads, stores = list(shared.loads)[: len(memory)], list(shared.stores)[: len(memory)]
            update = {"loads_by_region": by_region(memory, loads), "stores_by_region": by_region(memory, stores)}
            instructions = instructions.model_copy(update=update)
        else:
            not_measured["loads_by_region"] = "counted only on request (--traffic)"
            not_measured["stores_by_region"] = "counted only on request (--traffic)"
        heap = HeapLedger(firmware).measure() if not allocator_entries(firmware) else Heap(attached=False)
        if not heap.attached:
            not_measured["heap"] = _ONLY_UNICORN
        stack = self._stack(run)
        if isinstance(stack, str):
            not_measured["stack_peak_bytes"] = not_measured["stack_touched_bytes"] = stack
            stack = None
        touched = self._touched(run, heap, stack.peak_bytes) if stack is not None else None
        if isinstance(touched, str):
            not_measured["stack_touched_bytes"], touched = touched, None
        return Measurements(
            stack_peak_bytes=None if stack is None else stack.peak_bytes,
            stack_touched_bytes=touched,
            stack_limit_bytes=self._stack_limit_bytes,
            stack=Stack() if stack is None else Stack(backtrace=stack.backtrace, stacks=[stack]),
            stack_bytes_by_region=None if stack is None else self._stack_bytes_by_region(stack),
            heap=heap,
            instructions=instructions,
            faults=tuple(run.faults),
            output=run.output.text,
            output_cut_bytes=run.output.cut_bytes,
            not_measured=not_measured,
        )

    def _blocks(self, run: _Run) -> list[tuple[int, int, int, int]]:
        """Return address, bytes, instructions and executions of the blocks that ran."""
        blocks = np.ctypeslib.as_array(run.process.shared.blocks)
        ran = blocks[blocks["executions"] > 0]
        cut = [] if run.cut_block is None else [run.cut_block]
        return [(int(b["address"]), int(b["size"]), int(b["instructions"]), int(b["executions"])) for b in ran] + cut

    @property
    def _stack_limit_bytes(self) -> int | None:
        limit = self._firmware.stack_limit
        return None if limit is None else self._firmware.initial_sp - limit

    def _stack(self, run: _Run) -> StackUse | str:
        """Return the stack that the firmware starts on, or why it cannot be told from others."""
        firmware, shared = self._firmware, run.process.shared
        top, limit, lowest = firmware.initial_sp, firmware.stack_limit, shared.lowest
        if any(fault.kind == "stack_overflow" for fault in run.faults):
            return "SP left the stack's memory"
        if shared.off_stack != 0:
            return _OTHER_STACKS
        array = firmware.stack_array(top)
        peak, backtrace = self._core.peak(lowest)
        # Below the limit SP has either overflowed, and then the frames lead to the top, or it is on another stack.
        doubtful = limit is None or (lowest.sp < limit and firmware.is_static(lowest.sp))
        if doubtful and sum(frame.frame_bytes or 0 for frame in backtrace) != peak:
            return _OTHER_STACKS
        return StackUse(
            name=f"main stack ({self._core.stack_pointer})" if array is None else array.name,
            pointer=self._core.stack_pointer,
            top=top,
            limit_bytes=self._stack_limit_bytes,
            peak_bytes=peak,
            backtrace=backtrace,
        )

    def _touched(self, run: _Run, heap: Heap, peak: int) -> int | str:
        """Return the stack's touched bytes, or why it may have been something else that touched them."""
        firmware = self._firmware
        if run.paint is None:
            return "nothing tells which memory is the stack's"
        if not firmware.stack_is_reserved and not heap.attached:
            return "the heap may lie in the memory below the stack"
        touched = firmware.initial_sp - run.paint.lowest
        if touched > peak:
            return "something else wrote to the stack's memory, such as startup code that clears it"
        return touched

    def _stack_bytes_by_region(self, stack: StackUse) -> dict[str, int]:
        firmware = self._firmware
        if firmware.is_static(stack.top - 1):
            return {}
        return {firmware.stack_region.name: stack.peak_bytes}

    # ---- running -----------------------------------------------------------------------------------------------------

    def _reset(self) -> _Run:
        firmware = self._firmware
        process = QemuProcess(firmware, self._core, traffic=self._traffic)
        try:
            exits = tuple(entry for name in _EXIT_FUNCTIONS if (entry := firmware.entry_of(name)) is not None)
            handlers = self._core.handlers(process.standing)
            stops = {*exits, *handlers}
            if (entry := firmware.entry_of("emu_yield")) is not None:
                stops.add(entry)
            for address in sorted(stops):
                process.gdb.set_breakpoint(address)
        except BaseException:
            process.close()
            raise
        return _Run(process, self._paint(process), exits, handlers)

    def _paint(self, process: QemuProcess) -> StackPaint | None:
        firmware = self._firmware
        if firmware.stack_limit is None:
            return None
        write = process.memory.write if firmware.stack_is_reserved else None
        return StackPaint(firmware.stack_limit, firmware.initial_sp, process.memory.read, write)

    def _go(self, run: _Run) -> Stop:
        before = run.process.shared.instructions
        was_waiting, run.waiting = run.waiting, False
        try:
            if was_waiting:
                self._core.return_from_function(run.process.standing)
            fault = self._run_on(run, before)
        except GdbError:
            fault = self._lost(run)
        if run.paint is not None:
            run.paint.look()
        printed = run.process.output_since(run.output_bytes)
        run.output.write(printed)
        run.output_bytes += len(printed)
        count = run.process.shared.instructions - before
        if fault is not None:
            run.faults.append(fault)
            return Stop("fault", count, fault=fault)
        if run.waiting:
            return Stop("yield", count)
        return Stop("exit", count, exit_status=run.exit_status)

    def _run_on(self, run: _Run, before: int) -> Fault | None:
        """Run until the firmware yields, ends or faults; the limits are looked at between polls."""
        gdb, shared, qemu = run.process.gdb, run.process.shared, run.process.standing
        budget = before + self._limits.instructions
        deadline = time.monotonic() + self._limits.seconds
        gdb.resume()
        while True:
            if gdb.wait(_POLL_SECONDS):
                pc = self._core.pc(qemu)
                yields, exits = pc == self._firmware.entry_of("emu_yield"), pc in run.exits
                at_handler = pc in run.handlers or not (yields or exits)  # or the plugin has stopped for a fault
                fault = self._core.fault(qemu, at_handler=True) if at_handler else None
                if fault is not None:
                    return self._exception_fault(run, fault)
                if yields:
                    run.waiting = True
                    return None
                if exits:
                    run.exit_status = self._core.first_argument(qemu)
                    return None
                gdb.step()
                gdb.resume()
            elif shared.instructions >= budget:
                detail = f"the run has not ended after {self._limits.instructions} instructions"
                return self._limit_fault(run, "instruction_budget", detail)
            elif time.monotonic() >= deadline:
                detail = f"the run has not ended after {self._limits.seconds:g} seconds"
                return self._limit_fault(run, "time_limit", detail)

    # ---- faults ------------------------------------------------------------------------------------------------------

    def _limit_fault(self, run: _Run, kind: str, detail: str) -> Fault:
        """Stop the machine, and say where it was."""
        gdb, qemu = run.process.gdb, run.process.standing
        gdb.interrupt()
        if not gdb.wait(_STOP_SECONDS):
            raise GdbError("QEMU does not stop")
        fault = self._core.fault(qemu, at_handler=False)
        if fault is not None:
            return self._exception_fault(run, fault)
        waits = self._core.waits(qemu)
        registers = self._core.registers(qemu)
        if kind == "time_limit" and waits is not None:
            name, at = waits
            kind, detail = "wait_for_interrupt", f"{name} waits, and {detail}"
            registers = self._core.at(registers, at)
        return self._fault(run, kind, detail, registers)

    def _exception_fault(self, run: _Run, fault: CoreFault) -> Fault:
        """Say what made the core take an exception that means a fault."""
        if fault.registers is None or fault.pc is None:  # where it was is known to the block only
            pc = run.process.shared.blocks[run.process.shared.current_block].address
            place = self._firmware.locate(pc)
            return Fault(**place.model_dump(), kind=fault.kind, detail=fault.detail, pc=pc, address=fault.address)
        self._cut_block(run, fault.pc)
        registers = self._core.at(fault.registers, self._jump(run, fault.pc)) if fault.is_jump else fault.registers
        return self._fault(run, fault.kind, fault.detail, registers, fault.address)

    def _cut_block(self, run: _Run, pc: int) -> None:
        """Take back what was counted of the last block from the instruction at ``pc`` on, which has not retired."""
        shared = run.process.shared
        block = shared.blocks[shared.current_block]
        if not block.address <= pc < block.address + block.size:
            return
        size = pc - block.address
        retired = len(self._instructions(block.address, size))
        block.executions -= 1
        shared.instructions -= block.instructions - retired
        if retired:
            run.cut_block = (block.address, size, retired, 1)

    def _jump(self, run: _Run, target: int) -> int:
        """Return the address of the instruction that jumped to ``target``, where no instruction has run."""
        shared = run.process.shared
        block = shared.blocks[shared.current_block]
        if block.address == target:
            block = shared.blocks[shared.previous_block]
        return self._instructions(block.address, block.size)[-1]

    def _instructions(self, address: int, size: int) -> list[int]:
        return list(self._firmware.architecture.instruction_addresses(self._peek(address, size), address))

    def _fault(self, run: _Run, kind: str, detail: str, registers: Sequence[int], address: int | None = None) -> Fault:
        pc = self._core.pc_of(registers)
        return Fault(
            **self._firmware.locate(pc).model_dump(),
            kind=kind,
            address=address,
            pc=pc,
            detail=detail,
            backtrace=self._core.backtrace(registers, run.process.memory.read),
        )

    def _lost(self, run: _Run) -> Fault:
        """Say how QEMU was lost, and where the firmware was then."""
        pc = run.process.shared.blocks[run.process.shared.current_block].address
        ended = run.process.how_it_ended()
        kind, detail = "emulator_lost", f"QEMU is lost: {ended}"
        for ending, meaning in self._core.endings.items():
            if ending in ended:
                kind, detail = "exception", f"{meaning} ({ended})"
        return Fault(**self._firmware.locate(pc).model_dump(), kind=kind, pc=pc, detail=detail)

    def _peek(self, address: int, size: int) -> bytes:
        """Return memory, or nothing where there is none."""
        try:
            return self.read(address, size)
        except ValueError:
            return b""
