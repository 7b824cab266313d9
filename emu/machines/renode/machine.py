"""Firmware in Renode: the core with its exceptions, the board's memory, and the modelled peripherals."""

import os
import time
from dataclasses import dataclass, field
from pathlib import Path

from emu.architectures.core import CoreError
from emu.architectures.cores import core_of
from emu.errors import MissingToolError
from emu.firmware import Firmware
from emu.instruments import NOTHING_ON_REQUEST, Instruments, never_measured
from emu.machines import LostError, Machine, Measurements, Stop
from emu.machines.output import KEPT_BYTES, Output
from emu.machines.renode.core import Stopped
from emu.machines.renode.faults import (
    access_faults,
    changed_constant,
    exception_fault,
    idle_fault,
    limit_fault,
    lost_fault,
)
from emu.machines.renode.heap import MeasuredHeap, measure_heap
from emu.machines.renode.image import Image
from emu.machines.renode.loading import contents_at_reset, core_in_renode, stops
from emu.machines.renode.memory import Memory, dumps
from emu.machines.renode.monitor import CPU, Monitor, State, hook, number, path_argument, run_for
from emu.machines.renode.platform import write_platform
from emu.machines.renode.process import RenodeProcess
from emu.machines.renode.renodes import Renodes
from emu.machines.renode.robot_server import RenodeError
from emu.machines.renode.stack_watch import StackWatch
from emu.probes.main_stack import why_no_limit
from emu.probes.stack import StackPaint
from emu.record import Fault, Heap, Instructions, Stack, StackUse
from emu.targets import Target

_MIPS = 100
"""Instructions in a microsecond of virtual time."""
_FIRST_SLICE, _LAST_SLICE = 100_000, 50_000_000
"""Instructions between checks of a running machine: the first and the largest number."""
_SLICE_SECONDS = 0.25
"""How long a slice should take: nothing can interrupt it."""
_LONGEST_WAIT = 200_000_000
"""A core that retires nothing for so many instructions' time waits for ever: SysTick's longest period is shorter."""
_ANSWER_SECONDS = 30.0
"""How long Renode may take for an answer that runs nothing."""
_LAST_WORDS_SECONDS = 1.0
"""How long Renode may run on after the limit of time; if the limit is longer, as long as that."""
_LOG_SECONDS = 2.0
"""How long a line may take to reach the log."""
_ONLY_WATCHED = "Renode tells it in a second, slower run only: ask for that with --stack-peak"
_LOST = "Renode was lost before it could be measured"


@dataclass
class _Run:
    """The state of one boot: the process, and its events so far."""

    process: RenodeProcess
    monitor: Monitor
    memory: Memory
    image: Image
    state: State
    """The machine's state at the last stop."""
    printed: Path
    watch: StackWatch | None = None
    """Watches SP; None unless requested."""
    paint: StackPaint | None = None
    instructions_of_a_run: int = _FIRST_SLICE
    """The length of the last resume, as a guess for the next one."""
    accesses_seen: int = 0
    """Log lines of accesses to nothing that already became faults."""
    faults: list[Fault] = field(default_factory=list)
    waiting: bool = False
    """Whether the firmware waits at ``emu_yield``."""
    exit_status: int | None = None
    lost: bool = False


class RenodeMachine(Machine):
    """One firmware in Renode (see ``emu.machines.Machine``).

    Each boot takes a Renode from ``renodes``, and ``close`` gives it back. Without ``renodes``, ``close`` ends it.

    A resume is one request: Renode loads the bytes written since the last stop, runs, and saves the memory that was
    read after the last stop. Both go through files. So each input of a sequence needs one request only.

    ``stack_peak`` finds the lowest SP, but makes a run slower: Renode calls a hook before each block. The limit of time
    is then for each slice of the run.
    """

    def __init__(
        self,
        firmware: Firmware,
        target: Target,
        instruments: Instruments = NOTHING_ON_REQUEST,
        renodes: Renodes | None = None,
    ):
        self._renodes, self._owns_renodes = renodes or Renodes(), renodes is None
        self._firmware = firmware
        self._target = target
        self._instruments = instruments
        self._core, self._in_renode = core_of(firmware), core_in_renode(firmware)
        self._yield = firmware.entry_of("emu_yield")
        self._handlers = self._core.fault_handlers(firmware.bytes_at)
        self._run: _Run | None = None

    def boot(self) -> Stop:
        """Reset, and run until the firmware first reaches ``emu_yield``, or ends.

        Raises MissingToolError if Renode is missing, too old, or refuses the platform.
        """
        self._end_run()
        self._run = run = self._reset()
        return self._go(run, [])

    def resume(self) -> Stop:
        """Let ``emu_yield`` return; raises RuntimeError if the firmware does not wait there."""
        run = self._running
        if not run.waiting:
            raise RuntimeError("the firmware does not wait at emu_yield")
        # A hook that has halted the core works again only in code that is translated later. Without the second command,
        # a block that had run before would pass the next emu_yield unnoticed.
        commands = [f"PC {self._core.return_address(self._stopped(run)):#x}", "ClearTranslationCache", "IsHalted false"]
        return self._go(run, [f"{CPU} {command}" for command in commands])

    def read(self, address: int, size: int) -> bytes:
        """Return ``size`` bytes of the firmware's memory; raises ValueError if there is none.

        Raises LostError if Renode is lost, as its memory is lost, too.
        """
        run = self._running
        self._require_memory(address, size)
        if run.lost:
            raise LostError(_LOST)
        try:
            return run.image.as_linked(address, run.memory.read(address, size))
        except RenodeError as error:
            self._lose(run, error)
            raise LostError(run.faults[-1].detail) from error

    def write(self, address: int, data: bytes) -> None:
        """Replace memory from ``address`` on; raises ValueError if there is none."""
        run = self._running
        self._require_memory(address, len(data))
        run.memory.write(address, data)

    def close(self) -> None:
        """Leave Renode to the next machine, or end it if no other machine shares it; calling it again does nothing."""
        self._end_run()
        if self._owns_renodes:
            self._renodes.close()

    def _end_run(self) -> None:
        if self._run is not None:
            self._renodes.give_back(self._run.process)
            self._run = None

    @property
    def process_id(self) -> int:
        """The process group of Renode."""
        return self._running.process.process_id

    @property
    def _running(self) -> _Run:
        if self._run is None:
            raise RuntimeError("the machine has not been booted")
        return self._run

    def _require_memory(self, address: int, size: int) -> None:
        start = address
        while start < address + size:
            region = self._firmware.board.region_at(start)
            if region is None or region.kind != "memory":
                raise ValueError(f"{self._target.name} has no {size} bytes of memory at {address:#010x}")
            start = region.end

    # ---- measuring ---------------------------------------------------------------------------------------------------

    def measure(self) -> Measurements:
        """Return what was measured since ``boot``."""
        run, firmware = self._running, self._firmware
        changed = self._changed_constants(run)
        not_measured = never_measured(self._target) | why_no_limit(firmware)
        stacks = self._stacks(run)
        if isinstance(stacks, str):
            not_measured["stack_peak_bytes"], stacks = stacks, []
        elif run.watch is not None:
            not_measured |= run.watch.not_measured
        measured = self._heap()
        heap, not_measured = measured.heap, not_measured | measured.not_measured
        touched = self._touched(run, heap)
        if isinstance(touched, str):
            not_measured["stack_touched_bytes"], touched = touched, None
        if run.lost:
            not_measured["total"] = _LOST
        output = Output()
        if run.printed.exists():
            with run.printed.open("rb") as file:
                output.skip(max(0, file.seek(0, os.SEEK_END) - KEPT_BYTES))
                file.seek(output.written)
                output.write(file.read(KEPT_BYTES))
        return Measurements(
            stack_peak_bytes=stacks[0].peak_bytes if stacks else None,
            stack_touched_bytes=touched,
            stack_limit_bytes=firmware.stack_limit_bytes,
            stack=Stack(backtrace=stacks[0].backtrace, stacks=stacks) if stacks else Stack(),
            stack_bytes_by_region=run.watch.by_region(stacks) if run.watch is not None and stacks else None,
            heap_region=measured.region,
            heap=heap,
            instructions=Instructions(total=None if run.lost else run.state.instructions),
            faults=(*run.faults, *changed),
            output=output.text,
            output_cut_bytes=output.cut_bytes,
            not_measured=not_measured,
            changed=() if run.image.why is None else (run.image.why,),
        )

    def _stacks(self, run: _Run) -> list[StackUse] | str:
        """Return each stack's use, or why it is not known."""
        if run.watch is None:
            return _ONLY_WATCHED
        if run.lost:
            return _LOST
        try:
            return run.watch.measure(run.monitor)
        except RenodeError as error:
            self._lose(run, error)
            return _LOST

    def _heap(self) -> MeasuredHeap:
        try:
            return measure_heap(self._firmware, self.read)
        except LostError:
            return MeasuredHeap(Heap(attached=False), not_measured={"heap_peak_bytes": _LOST})

    def _touched(self, run: _Run, heap: Heap) -> int | str:
        """Return the stack's touched bytes, or why other code may have written them."""
        if run.lost:
            return _LOST
        if run.paint is None:
            return "nothing tells which memory is the stack's"
        if not self._firmware.stack_is_reserved and heap.allocations != 0:
            return "the heap may lie in the memory below the stack"
        if run.paint.lowest == self._firmware.stack_limit:
            return "all of the stack's memory was written, by too deep a stack or by code that clears the memory"
        return self._firmware.initial_sp - run.paint.lowest

    def _changed_constants(self, run: _Run) -> list[Fault]:
        """Return a fault for each segment of constants that the run has changed."""
        if run.lost:
            return []
        try:
            addresses = self._differences(run.memory, run.image, only_constants=True)
        except RenodeError as error:
            self._lose(run, error)
            return []
        return [changed_constant(self._firmware, address) for address in addresses]

    def _differences(self, memory: Memory, image: Image, *, only_constants: bool) -> list[int]:
        """Return the first changed address of each part of ``image`` whose memory differs from it."""
        board = self._firmware.board
        segments = {
            (address, len(data)): data
            for address, data in image.contents
            if not (only_constants and (board.has_ram_at(address) or board.region_at(address) is None))
        }
        found = memory.read_all(list(segments))
        return [
            place[0] + next(i for i, pair in enumerate(zip(data, found[place], strict=True)) if pair[0] != pair[1])
            for place, data in segments.items()
            if found[place] != data
        ]

    # ---- starting ----------------------------------------------------------------------------------------------------

    def _reset(self) -> _Run:
        """Return a run at reset; raises MissingToolError, with the reason, if Renode fails before reset."""
        image = self._in_renode.image(self._firmware, self._renodes)
        process = self._renodes.take()
        try:
            return self._set_up(process, image)
        except BaseException as error:
            process.end()
            self._renodes.give_back(process)
            if not isinstance(error, RenodeError):
                raise
            said = f"{error}; its log ends with {process.log.tail()}"
            raise MissingToolError(f"Renode {process.version} cannot run {self._target.name}: {said}") from error

    def _set_up(self, process: RenodeProcess, image: Image) -> _Run:
        firmware, core, directory = self._firmware, self._in_renode, process.directory
        printed = directory / "printed"
        platform = write_platform(
            firmware.board, core.platform, core.platform_registers, image.added_memory, directory, printed
        )
        monitor = Monitor(process.robot, core.registers, image.counter)
        halts = stops(firmware)
        memory = Memory(monitor, directory)
        for address, data in contents_at_reset(firmware, image):
            memory.write(address, data)
        for command in (
            'mach create "emu"',
            f"machine LoadPlatformDescription {path_argument(platform)}",
            "emulation SetSeed 1",
            "emulation SetGlobalAdvanceImmediately true",
            'emulation SetGlobalQuantum "0.001"',
            f"{CPU} PerformanceInMips {_MIPS}",
            *memory.commands_to_write(),
            core.start(firmware),
            *map(hook, halts),
        ):
            monitor.run([command], _ANSWER_SECONDS)  # one at a time, so that an error names the command
        differences = self._differences(memory, image, only_constants=False)
        if differences:
            raise RenodeError(f"memory at {differences[0]:#010x} is not what was loaded there")
        state = monitor.run_to_state([], [], _ANSWER_SECONDS)
        if state.halted or state.instructions or state.unexpected:
            raise RenodeError(f"the machine is not at its reset: {state}")
        run = _Run(process, monitor, memory, image, state, printed)
        run.paint = StackPaint.of(firmware, self.read, self.write)
        if self._instruments.stack_peak:
            run.watch = StackWatch(firmware, core, lambda *place: memory.read_all([place])[place])
            run.watch.begin(monitor, process.include, directory)
        return run

    # ---- running -----------------------------------------------------------------------------------------------------

    def _go(self, run: _Run, commands: list[str]) -> Stop:
        before, known = run.state.instructions, len(run.faults)
        run.waiting = False
        try:
            run.faults += self._run_on(run, commands, before)
            if run.paint is not None:
                run.paint.look()
        except (CoreError, LostError) as error:
            self._lose(run, error)
        faults = run.faults[known:]
        count = None if run.lost else run.state.instructions - before
        if faults:
            return Stop("fault", count, fault=faults[0])
        if run.waiting:
            return Stop("yield", count)
        return Stop("exit", count, exit_status=run.exit_status)

    def _run_on(self, run: _Run, commands: list[str], before: int) -> list[Fault]:
        """Run until the firmware yields, ends or faults; the limits are checked between slices of time."""
        most_seconds = self._instruments.limits.seconds
        time_limit = run.process.time_limit(most_seconds)
        budget, executed, length = self._instruments.limits.instructions, 0, run.instructions_of_a_run
        commands = [*run.memory.commands_to_write(), *commands]
        places = run.memory.places_to_fetch()
        idle = 0
        while True:
            length = _LAST_SLICE if idle else min(max(length, _FIRST_SLICE), _LAST_SLICE, budget - executed)
            files = run.memory.new_files(places)
            seconds = time_limit.left + max(_LAST_WORDS_SECONDS, most_seconds)
            unexpected, advanced, began = run.state.unexpected, executed, time.monotonic()
            commands.append(run_for(-(-length // _MIPS)))
            run.state = state = run.monitor.run_to_state(commands, dumps(files), seconds)
            run.memory.fetched(files)
            executed, commands = state.instructions - before, []
            idle = idle + length if executed == advanced else 0
            if run.watch is not None and executed > advanced:
                time_limit = run.process.time_limit(most_seconds)
            if state.unexpected != unexpected:
                return self._access_faults(run, state.unexpected - unexpected)
            if state.halted and run.watch is not None and (seen := run.watch.seen(run.monitor)):
                commands = [*run.watch.look(self._stopped(run), seen), f"{CPU} IsHalted false"]
            elif state.halted:
                run.instructions_of_a_run = executed + executed // 8
                faults = self._halted(run, executed)
                if faults is not None:
                    return faults
                commands = [f"{CPU} IsHalted false"]
            elif idle >= _LONGEST_WAIT and self._idles_after_main(run):
                run.exit_status = 0
                return []
            elif idle >= _LONGEST_WAIT and (fault := self._idle_fault(run)) is not None:
                return [fault]
            elif executed >= budget:
                return [self._limit_fault(run, "instruction_budget", f"{budget} instructions")]
            elif time_limit.is_over:
                return [self._limit_fault(run, "time_limit", time_limit.words)]
            length = int(length * min(2.0, _SLICE_SECONDS / (time.monotonic() - began)))

    def _halted(self, run: _Run, executed: int) -> list[Fault] | None:
        """Return the faults of a core that a hook has halted; None if the firmware can go on.

        Raises RenodeError if no hook is there, or if the core has not run since the last hook.
        """
        pc = self._firmware.architecture.code_address(run.state.pc)
        if executed == 0:
            raise RenodeError(f"the core has halted at {pc:#010x} without having run")
        if pc == self._yield:
            run.waiting = True
            return []
        if pc in self._firmware.exits:
            run.exit_status = self._core.first_argument(self._stopped(run))
            return []
        if pc not in self._handlers:
            raise RenodeError(f"the core has halted at {pc:#010x}, but no hook is there ({run.state})")
        fault = exception_fault(self._firmware, self._core, self._stopped(run))
        return None if fault is None else [fault]

    def _peek(self, run: _Run, address: int, size: int) -> bytes:
        """Return memory, or mapped registers of the core, read in words."""
        region = self._firmware.board.region_at(address)
        if region is None or region.kind == "memory":
            return self.read(address, size)
        questions = [f"sysbus ReadDoubleWord {at:#x}" for at in range(address, address + size, 4)]
        return b"".join(number(line).to_bytes(4, "little") for line in run.monitor.run(questions, _ANSWER_SECONDS))

    def _access_faults(self, run: _Run, counted: int) -> list[Fault]:
        log, deadline = run.process.log, time.monotonic() + _LOG_SECONDS
        while len(log.unexpected_accesses()) <= run.accesses_seen and time.monotonic() < deadline:
            time.sleep(_LOG_SECONDS / 20)
        accesses = log.unexpected_accesses()[run.accesses_seen :]
        run.accesses_seen += len(accesses)
        return access_faults(self._firmware, accesses, counted, log.tail())

    def _lose(self, run: _Run, error: Exception) -> None:
        """Note that Renode is lost, once, with the fault that says why, and end what is left of it."""
        if not run.lost:
            run.lost = True
            run.process.end()
            log = run.process.log
            run.faults.append(lost_fault(self._firmware, error, log.abort(), log.tail()))

    def _limit_fault(self, run: _Run, kind: str, limit: str) -> Fault:
        return limit_fault(self._firmware, self._core, self._stopped(run), kind, limit)

    def _idles_after_main(self, run: _Run) -> bool:
        stopped = self._stopped(run)
        return self._core.idles(stopped) is not None and self._core.is_after_main(stopped)

    def _idle_fault(self, run: _Run) -> Fault | None:
        return idle_fault(self._firmware, self._core, self._stopped(run), self._in_renode.sleeps_at)

    def _stopped(self, run: _Run) -> Stopped:
        return Stopped(
            self._firmware,
            self._in_renode,
            run.state,
            lambda numbers: run.monitor.registers(numbers, _ANSWER_SECONDS),
            lambda *place: self._peek(run, *place),
            run.image,
        )
