"""Firmware in QEMU: the core with its exceptions and interrupts, and the board's memory, but no other hardware."""

from collections.abc import Sequence

from emu.architectures.core import CoreError, CoreFault, StoppedCore
from emu.firmware import Firmware
from emu.instruments import NOTHING_ON_REQUEST, Instruments
from emu.machines import Machine, Measurements, Stop
from emu.machines.bare import measured_bare
from emu.machines.gdb_remote import GdbError
from emu.machines.idling import IDLES, last_activity, waits_in
from emu.machines.process_time import ProcessTime
from emu.machines.qemu.cores import core_in_qemu
from emu.machines.qemu.measurements import measure
from emu.machines.qemu.process import QemuProcess
from emu.machines.qemu.run import Run
from emu.machines.qemu.stacks import Stacks
from emu.machines.time_limit import TimeLimit
from emu.probes.heap import HeapLedger
from emu.probes.overflow import OVERFLOW, find_overflow, overflow_fault
from emu.probes.stack import StackPaint
from emu.record import Fault
from emu.targets import Target

_POLL_SECONDS = 0.02
_PATIENCE = 10
"""Polls in which no instruction retires, before emu looks whether the core waits for ever; then twice as many."""
_STOP_SECONDS = 3.0
"""How long QEMU may take to stop when asked."""


class QemuMachine(Machine):
    """One firmware in QEMU (see ``emu.machines.Machine``); one process for each boot.

    Write data only: QEMU does not notice changes to code that has run. A ``bare`` machine measures nothing and has no
    limit of instructions; it shows what measuring costs in speed.
    """

    def __init__(
        self,
        firmware: Firmware,
        target: Target,
        instruments: Instruments = NOTHING_ON_REQUEST,
        *,
        bare: bool = False,
    ):
        self._firmware = firmware
        self._target = target
        self._instruments, self._bare = instruments, bare
        self._in_qemu = core_in_qemu(firmware)
        self._run: Run | None = None

    def boot(self) -> Stop:
        """Reset, and run until the firmware first reaches ``emu_yield``, or ends.

        Raises MissingToolError if QEMU is missing or cannot be used.
        """
        self.close()
        self._run = run = self._reset()
        return self._go(run)

    def resume(self) -> Stop:
        """Let ``emu_yield`` return; raises RuntimeError if the firmware does not wait there."""
        run = self._running
        if not run.waiting:
            raise RuntimeError("the firmware does not wait at emu_yield")
        return self._go(run)

    def read(self, address: int, size: int) -> bytes:
        """Return ``size`` bytes of the firmware's memory; raises ValueError if there is none."""
        try:
            return self._running.process.memory.read(address, size)
        except ValueError as error:
            raise ValueError(f"{self._target.name} has no {size} bytes of memory at {address:#010x}") from error

    def write(self, address: int, data: bytes) -> None:
        """Replace memory from ``address`` on; raises ValueError if there is none."""
        try:
            self._running.process.memory.write(address, data)
        except ValueError as error:
            raise ValueError(f"{self._target.name} has no {len(data)} bytes of memory at {address:#010x}") from error

    def close(self) -> None:
        """End QEMU; calling it again does nothing."""
        if self._run is not None:
            self._run.process.close()
            self._run = None

    @property
    def process_id(self) -> int:
        """QEMU's process."""
        return self._running.process.process_id

    @property
    def _running(self) -> Run:
        if self._run is None:
            raise RuntimeError("the machine has not been booted")
        return self._run

    def measure(self) -> Measurements:
        """Return what was measured since ``boot``."""
        run = self._running
        if self._bare:
            return measured_bare(run.faults, run.output)
        return measure(run, self._target, self._instruments)

    # ---- running -----------------------------------------------------------------------------------------------------

    def _reset(self) -> Run:
        firmware = self._firmware
        process = QemuProcess(firmware, self._in_qemu, self._instruments, bare=self._bare)
        try:
            handlers = self._in_qemu.stops(process.memory.peek)
            stops = {*firmware.exits, *handlers}
            if (entry := firmware.entry_of("emu_yield")) is not None:
                stops.add(entry)
            for address in sorted(stops):
                process.gdb.set_breakpoint(address)
        except BaseException:
            process.close()
            raise
        core = self._in_qemu.core
        paint = StackPaint.of(firmware, process.memory.read, process.memory.write)
        ledger = HeapLedger(firmware, core)
        run = Run(firmware, core, process, paint, handlers, ledger)
        if self._in_qemu.stack_changes() is not None and not self._bare:
            run.stacks = Stacks(firmware, core, process, ledger)
            ledger.callers.task_of = run.stacks.found.task
        return run

    def _go(self, run: Run) -> Stop:
        before = run.shared.instructions
        was_waiting, run.waiting = run.waiting, False
        try:
            if was_waiting:
                core = run.process.stopped()
                self._in_qemu.go_on_at(run.core.return_address(core), run.process.standing)
            fault = self._run_on(run, before)
        except CoreError:
            fault = self._lost(run)
        run.follow_heap()
        if run.paint is not None:
            run.paint.look()
        run.output.take(run.shared.output)
        count = run.shared.instructions - before
        if fault is not None:
            run.faults.append(fault)
            return Stop("fault", count, fault=fault)
        if run.waiting:
            return Stop("yield", count)
        return Stop("exit", count, exit_status=run.exit_status)

    def _run_on(self, run: Run, before: int) -> Fault | None:
        """Run until the firmware yields, ends or faults; the limits are checked between polls."""
        gdb, shared = run.process.gdb, run.shared
        budget = before + self._instruments.limits.instructions
        time_limit = self._time_limit(run, self._instruments.limits.seconds)
        gdb.resume()
        still, patience = (shared.instructions, 0), _PATIENCE
        while True:
            stands = gdb.wait(_POLL_SECONDS)
            run.serve_plugin()
            still = (shared.instructions, still[1] + 1 if shared.instructions == still[0] and not stands else 0)
            if still[1] >= patience:
                if (fault := self._waits_for_ever(run)) is not None:
                    return fault
                still, patience = (shared.instructions, 0), 2 * patience
            if stands:
                run.follow_heap()  # makes room in the plugin's lists for the step below
                if shared.overflowed and run.stacks is not None:
                    run.overflow = run.stacks.overflow
                    return overflow_fault(self._firmware, run.core, run.overflow, run.task)
                core = run.process.stopped()
                pc = core.register("pc")
                yields, exits = pc == self._firmware.entry_of("emu_yield"), pc in self._firmware.exits
                if not (yields or exits or pc in run.handlers) and run.core.idles(core) is not None:
                    if not self._in_qemu.may_be_interrupted(run.process.standing):
                        return self._idles(run, core)
                    gdb.clear_breakpoint(pc)  # the plugin has set it
                    shared.goes_on_idling = 1
                    gdb.resume()
                    continue
                at_handler = pc in run.handlers or not (yields or exits)  # else the plugin has stopped for a fault
                fault = run.core.fault(core, at_handler=True) if at_handler else None
                if fault is not None:
                    return self._exception_fault(run, fault)
                if yields:
                    run.waiting = True
                    return None
                if exits:
                    run.exit_status = run.core.first_argument(core)
                    return None
                fault = run.core.handler_without_exception(core) if pc in run.handlers else None
                if fault is not None:
                    return self._exception_fault(run, fault)
                gdb.step()
                gdb.resume()
            if shared.instructions >= budget:
                detail = f"the run has not ended after {self._instruments.limits.instructions} instructions"
                return self._limit_fault(run, "instruction_budget", detail)
            if time_limit.is_over:
                return self._limit_fault(run, "time_limit", f"the run has not ended after {time_limit.words}")

    def _idles(self, run: Run, core: StoppedCore) -> Fault | None:
        """Return the fault of a `b .` that nothing ends, or that brought the core to a handler with this loop.

        Return None if main has returned, which ends the run.
        """
        handled = run.core.fault(core, at_handler=False)
        if handled is not None:
            return self._exception_fault(run, handled)
        if run.core.is_after_main(core):
            run.exit_status = 0
            return None
        return self._fault(run, "wait_for_interrupt", IDLES, run.core.registers(core))

    def _waits_for_ever(self, run: Run) -> Fault | None:
        """Stop a core that retires nothing; return the fault if it waits for what cannot come, else let it go on."""
        self._interrupt(run)
        core = run.process.stopped()
        waits = run.core.waits(core)
        if waits is None or self._in_qemu.may_be_interrupted(run.process.standing):
            run.process.gdb.resume()
            return None
        instruction, at = waits
        registers = run.core.at(run.core.registers(core), at)
        return self._fault(run, "wait_for_interrupt", waits_in(instruction), registers)

    def _time_limit(self, run: Run, seconds: float) -> TimeLimit:
        return TimeLimit(seconds, ProcessTime(run.process.process_id).spent)

    # ---- faults ------------------------------------------------------------------------------------------------------

    def _interrupt(self, run: Run) -> None:
        gdb = run.process.gdb
        gdb.interrupt()
        time_limit = self._time_limit(run, _STOP_SECONDS)
        while not gdb.wait(_POLL_SECONDS):
            run.serve_plugin()
            if time_limit.is_over:
                raise GdbError("QEMU does not stop")

    def _limit_fault(self, run: Run, kind: str, detail: str) -> Fault:
        """Stop the machine, and return a fault with its place."""
        self._interrupt(run)
        core = run.process.stopped()
        fault = run.core.fault(core, at_handler=False)
        if fault is not None:
            return self._exception_fault(run, fault)
        waits = run.core.waits(core)
        registers = run.core.registers(core)
        if kind == "time_limit" and waits is not None:
            name, at = waits
            kind, detail = "wait_for_interrupt", f"{name} waits, and {detail}"
            registers = run.core.at(registers, at)
        else:
            detail += last_activity(self._firmware.board, run.core, core, run.shared.poll, run.shared.instructions)
        return self._fault(run, kind, detail, registers)

    def _exception_fault(self, run: Run, fault: CoreFault) -> Fault:
        """Return the fault of an exception that the core has taken."""
        if fault.kind == OVERFLOW:
            run.overflow = run.overflow_without_frame(fault.lowest_sp)
            if run.overflow is not None:
                return overflow_fault(self._firmware, run.core, run.overflow, run.task)
        if fault.registers is None or fault.pc is None:  # only the block is known, not the instruction
            pc = run.shared.blocks[run.shared.current_block].address
            place = self._firmware.locate(pc)
            return Fault(**place.model_dump(), kind=fault.kind, detail=fault.detail, pc=pc, address=fault.address)
        self._cut_block(run, fault.pc)
        run.overflow = find_overflow(self._firmware, run.core, fault.kind, fault.registers, run.peek)
        if run.overflow is not None:
            return overflow_fault(self._firmware, run.core, run.overflow, run.task)
        registers = run.core.at(fault.registers, self._jump(run, fault.pc)) if fault.is_jump else fault.registers
        return self._fault(run, fault.kind, fault.detail, registers, fault.address)

    def _cut_block(self, run: Run, pc: int) -> None:
        """Subtract the last block's counts from the instruction at ``pc`` on, which has not retired."""
        shared = run.shared
        block = shared.blocks[shared.current_block]
        if not block.address <= pc < block.address + block.size:
            return
        size = pc - block.address
        retired = len(self._instructions(run, block.address, size))
        block.executions -= 1
        shared.instructions -= block.instructions - retired
        if self._instruments.profile:
            shared.nodes[shared.counted_node].instructions -= block.instructions - retired
        if retired:
            run.cut_block = (block.address, size, retired, 1)

    def _jump(self, run: Run, target: int) -> int:
        """Return the address of the instruction that jumped to ``target``, which has not run."""
        shared = run.shared
        block = shared.blocks[shared.current_block]
        if block.address == target:
            block = shared.blocks[shared.previous_block]
        return self._instructions(run, block.address, block.size)[-1]

    def _instructions(self, run: Run, address: int, size: int) -> list[int]:
        return list(self._firmware.architecture.instruction_addresses(run.peek(address, size), address))

    def _fault(self, run: Run, kind: str, detail: str, registers: Sequence[int], address: int | None = None) -> Fault:
        pc = run.core.pc_of(registers)
        return Fault(
            **self._firmware.locate(pc).model_dump(),
            kind=kind,
            address=address,
            pc=pc,
            detail=detail,
            backtrace=run.core.backtrace(registers, run.peek, self._firmware.initial_sp),
            task=run.task,
        )

    def _lost(self, run: Run) -> Fault:
        """Return the fault of a lost QEMU, with the firmware's last place."""
        last = [run.shared.blocks[index].address for index in (run.shared.current_block, run.shared.previous_block)]
        # Without a handler the core jumps to an address without code before QEMU ends.
        pc = next((address for address in last if self._firmware.function_at(address) is not None), last[0])
        ended = run.process.how_it_ended()
        # QEMU may have ended between two counters.
        run.shared.instructions = sum(instructions * executions for _, _, instructions, executions in run.blocks)
        if self._instruments.profile:
            counted = sum(own for _, _, own in run.call_paths)
            run.shared.nodes[run.shared.counted_node].instructions += run.shared.instructions - counted
        kind, detail = "emulator_lost", f"QEMU is lost: {ended}"
        for ending, meaning in self._in_qemu.endings.items():
            if ending in ended:
                kind, detail = "exception", f"{meaning} ({ended})"
        return Fault(**self._firmware.locate(pc).model_dump(), kind=kind, pc=pc, detail=detail)
