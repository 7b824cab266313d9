"""Firmware in Unicorn: the instructions, the memory and the FPU of the core, and nothing else of the board."""

import time
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from unicorn import (
    UC_ARCH_ARM,
    UC_MODE_THUMB,
    UC_PROT_ALL,
    UC_PROT_EXEC,
    UC_PROT_READ,
    UC_PROT_WRITE,
)
from unicorn.arm_const import (
    UC_ARM_REG_CPSR,
    UC_ARM_REG_LR,
    UC_ARM_REG_PC,
    UC_ARM_REG_R0,
    UC_ARM_REG_R1,
    UC_ARM_REG_SP,
    UC_CPU_ARM_CORTEX_M4,
    UC_CPU_ARM_CORTEX_M7,
)
from unicorn.unicorn import Uc, UcError
from unicorn.unicorn_const import (
    UC_ERR_NOMEM,
    UC_MEM_READ_PROT,
    UC_MEM_READ_UNMAPPED,
    UC_MEM_WRITE_PROT,
    UC_MEM_WRITE_UNMAPPED,
)

from emu import native
from emu.firmware import Firmware
from emu.machines import Limits, Measurements, Stop
from emu.machines.access import Access, describe_access, describe_arm_state
from emu.machines.output import Output
from emu.machines.peripherals import Peripherals
from emu.machines.replaced_allocator import ReplacedAllocator, place_for_heap
from emu.machines.semihosting import Exit, Semihosting, SemihostingError
from emu.native import Block
from emu.native.hooks import CodeMap, NativeHooks
from emu.native.shadow import NativeShadow
from emu.probes.addressability import defined_ranges, heap_state, initial_states
from emu.probes.allocators import allocator_entries
from emu.probes.coverage import measure_coverage
from emu.probes.heap import HeapLedger
from emu.probes.instructions import executions_by_address, measure_instructions
from emu.probes.memory_errors import MemoryErrors
from emu.probes.profile import measure_profile
from emu.probes.stack import PAINT, StackPaint, peak_backtrace
from emu.probes.stacks import Stacks
from emu.probes.timeline import measure_timeline
from emu.probes.traffic import by_region
from emu.record import Fault, Frame, Stack, StackUse
from emu.targets import Region, Target
from emu.thumb import DYNAMIC, instruction_addresses
from emu.unwind import unwind

_CPU_MODELS = {"cortex-m4": UC_CPU_ARM_CORTEX_M4, "cortex-m7": UC_CPU_ARM_CORTEX_M7}
_REGISTERS = (*range(UC_ARM_REG_R0, UC_ARM_REG_R0 + 13), UC_ARM_REG_SP, UC_ARM_REG_LR)
_SP = 13
_PROTECTION = {"r": UC_PROT_READ, "w": UC_PROT_WRITE, "x": UC_PROT_EXEC}
_ERASED = 0xFF
_THUMB_STATE = 1 << 5

_EXIT_FUNCTIONS = ("_exit", "emu_exit")
_PAGE = 4096
_NOWHERE = 0xFFFF_FFF0
"""An address that nothing reaches: Unicorn's own stop address must be one and the same for all runs of an engine."""
_PAUSE = 16_000_000
"""Instructions after which the limits are looked at: some hundredths of a second."""

_YIELD = "YIELD"
_HINTS = {0xBF30: "WFI", 0xBF20: "WFE", 0xBF10: _YIELD}
_SUPERVISOR_CALL, _PREFETCH_ABORT, _BREAKPOINT = 2, 3, 7
_SEMIHOSTING_CALL = b"\xab\xbe"  # BKPT 0xAB
_ACCESSES: dict[int, Access] = {
    UC_MEM_READ_UNMAPPED: "read",
    UC_MEM_READ_PROT: "read",
    UC_MEM_WRITE_UNMAPPED: "write",
    UC_MEM_WRITE_PROT: "write",
}


@dataclass
class _Run:
    """What one boot made: the engine, and what has been seen of it since."""

    engine: Uc
    hooks: NativeHooks
    stacks: Stacks | None
    paint: StackPaint | None
    output: Output
    peripherals: Peripherals
    semihosting: Semihosting
    ledger: HeapLedger
    faults: list[Fault] = field(default_factory=list)
    memory_errors: MemoryErrors | None = None
    shadow: NativeShadow | None = None
    allocator: ReplacedAllocator | None = None
    waiting: bool = False
    """Whether the firmware stands at ``emu_yield``."""
    exit_status: int | None = None
    """Set when the firmware has ended."""
    executable_pages: set[int] = field(default_factory=set)
    """Pages of RAM that code has run from."""

    @property
    def fetch_failed(self) -> bool:
        """Whether the engine stopped because it could not fetch the next instruction."""
        access = self.hooks.access
        return self.hooks.exception == _PREFETCH_ABORT or (access is not None and access[0] not in _ACCESSES)

    @property
    def in_thumb_state(self) -> bool:
        """Whether the core can execute what it stands at: it has no other instructions."""
        return bool(self.engine.reg_read(UC_ARM_REG_CPSR) & _THUMB_STATE)

    @property
    def pc(self) -> int:
        """Where the engine stands."""
        return self.engine.reg_read(UC_ARM_REG_PC)


class UnicornMachine:
    """One firmware in Unicorn (see ``emu.machines.Machine``).

    ``traffic`` also counts loads and stores, ``memcheck`` also checks every access and where undefined bits go; each
    makes a run about three times slower. ``replace_allocator`` (with ``memcheck``) serves the allocator's calls from
    memory that the board does not have. ``profile`` also follows calls, and counts by line and call path; ``coverage``
    also tells which lines and functions ran. ``bare`` measures nothing and knows no limits: it is there to compare the
    speed with.
    """

    def __init__(
        self,
        firmware: Firmware,
        target: Target,
        *,
        limits: Limits | None = None,
        traffic: bool = False,
        profile: bool = False,
        coverage: bool = False,
        memcheck: bool = False,
        replace_allocator: bool = False,
        bare: bool = False,
    ):
        self._firmware = firmware
        self._target = target
        self._limits = limits or Limits()
        self._traffic, self._profile, self._coverage, self._bare = traffic, profile, coverage, bare
        self._memcheck = memcheck
        self._replaced_heap = place_for_heap(firmware.board) if replace_allocator else None
        self._code = CodeMap(firmware)
        self._allocator = allocator_entries(firmware)
        self._run: _Run | None = None

    def boot(self) -> Stop:
        """Reset, and run to the first arrival at ``emu_yield``, or to the end."""
        self.close()
        self._run = run = self._reset()
        return self._go(run, self._firmware.reset_pc)

    def resume(self) -> Stop:
        """Go on as if ``emu_yield`` had returned; raises RuntimeError where the firmware does not wait there."""
        run = self._running
        if not run.waiting:
            raise RuntimeError("the firmware does not wait at emu_yield")
        return self._go(run, run.engine.reg_read(UC_ARM_REG_LR))

    def read(self, address: int, size: int) -> bytes:
        """Return ``size`` bytes of the firmware's memory; raises ValueError where there is none."""
        try:
            return bytes(self._running.engine.mem_read(address, size))
        except UcError as error:
            raise ValueError(f"{self._target.name} has no {size} bytes of memory at {address:#010x}") from error

    def read_output(self, address: int, size: int) -> bytes:
        """Return the same; the memory checker looks at whether all of it was ever set."""
        run, data = self._running, self.read(address, size)
        if run.memory_errors is not None:
            run.memory_errors.check_output(address, size, run.pc, lambda: self._backtrace(run, run.pc))
        return data

    def write(self, address: int, data: bytes) -> None:
        """Replace memory from ``address`` on; raises ValueError where there is none."""
        try:
            self._running.engine.mem_write(address, data)
            if self._running.shadow is not None:
                self._running.shadow.define(address, len(data))
        except UcError as error:
            raise ValueError(f"{self._target.name} has no {len(data)} bytes of memory at {address:#010x}") from error

    def close(self) -> None:
        """Release the engine and its counters; calling it again does nothing."""
        if self._run is not None:
            self._run.hooks.close()
            if self._run.shadow is not None:
                self._run.shadow.close()
            self._run = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    @property
    def _running(self) -> _Run:
        if self._run is None:
            raise RuntimeError("the machine has not been booted")
        return self._run

    # ---- measuring ---------------------------------------------------------------------------------------------------

    def measure(self) -> Measurements:
        """Return what was measured since ``boot``."""
        run, firmware = self._running, self._firmware
        if self._bare:
            reason = "the machine ran bare"
            return Measurements(
                faults=tuple(run.faults),
                output=run.output.text,
                output_cut_bytes=run.output.cut_bytes,
                not_measured=dict.fromkeys(("stack_peak_bytes", "stack_touched_bytes", "heap", "instructions"), reason),
            )
        not_measured: dict[str, str] = {}
        instructions = measure_instructions(firmware, run.hooks.instructions, run.hooks.blocks, self._peek)
        if not firmware.symbols:
            not_measured["by_function"] = "the ELF has no symbols"
            instructions = instructions.model_copy(update={"by_function": {}})
        if self._traffic:
            memory = firmware.board.memory
            loads, stores = by_region(memory, run.hooks.loads), by_region(memory, run.hooks.stores)
            instructions = instructions.model_copy(update={"loads_by_region": loads, "stores_by_region": stores})
        else:
            not_measured["loads_by_region"] = "counted only on request (--traffic)"
            not_measured["stores_by_region"] = "counted only on request (--traffic)"
        executions = executions_by_address(run.hooks.blocks, self._peek) if self._profile or self._coverage else {}
        profile = coverage = None
        if self._profile:
            profile = measure_profile(firmware, executions, run.hooks.call_paths, cut=run.hooks.call_paths_cut)
        else:
            not_measured["profile"] = "only on request (--profile)"
        if self._coverage:
            coverage = measure_coverage(firmware, executions)
            if not coverage.lines:
                not_measured["covered_lines"] = "the ELF has no line information (compile it with -g)"
        else:
            not_measured["coverage"] = "only on request (--coverage)"
        memory_check = run.memory_errors.measure() if run.memory_errors is not None else None
        if memory_check is None:
            not_measured["memory_check"] = "only on request (--memcheck)"
        not_measured |= run.ledger.not_measured
        heap = run.ledger.measure()
        length, lowest = run.hooks.timeline
        levels = run.ledger.timeline if heap.attached else None
        assert run.stacks is not None, "only a bare machine follows none"
        stacks = run.stacks.measure(self._code.delta_at)
        not_measured.update(run.stacks.not_measured)
        touched = self._touched(run, stacks)
        if isinstance(touched, str):
            not_measured["stack_touched_bytes"], touched = touched, None
        return Measurements(
            stack_peak_bytes=stacks[0].peak_bytes,
            stack_touched_bytes=touched,
            stack_limit_bytes=stacks[0].limit_bytes,
            stack=Stack(backtrace=stacks[0].backtrace, stacks=stacks),
            stack_bytes_by_region=self._stack_bytes_by_region(run, stacks),
            heap_region=self._heap_region(run),
            heap=heap,
            timeline=measure_timeline(length, lowest, firmware.initial_sp, levels),
            instructions=instructions,
            profile=profile,
            coverage=coverage,
            memory_check=memory_check,
            faults=(*run.ledger.faults, *run.faults),
            output=run.output.text,
            output_cut_bytes=run.output.cut_bytes,
            not_measured=not_measured,
        )

    # ---- running -----------------------------------------------------------------------------------------------------

    def _reset(self) -> _Run:
        firmware = self._firmware
        engine = Uc(UC_ARCH_ARM, UC_MODE_THUMB)  # UC_MODE_MCLASS would replace the CPU model by one without doubles
        engine.ctl_set_cpu_model(_CPU_MODELS[self._target.emulator.options["cpu_model"]])
        for region in firmware.board.memory:
            engine.mem_map(region.start, region.size, _protection(region))
            if region.kind == "memory":
                engine.mem_write(region.start, bytes([PAINT if region.writable else _ERASED]) * region.size)
        for segment in firmware.segments:
            engine.mem_write(segment.load_address, segment.data)
        engine.reg_write(UC_ARM_REG_SP, firmware.initial_sp)
        engine.reg_write(UC_ARM_REG_LR, 0xFFFF_FFFF)
        exits = [entry for name in _EXIT_FUNCTIONS if (entry := firmware.entry_of(name)) is not None]
        shadow = self._shadow() if self._memcheck else None
        hooks = NativeHooks(
            engine,
            firmware,
            self._code,
            firmware.entry_of("emu_yield"),
            exits,
            self._allocator,
            traffic=self._traffic,
            profile=self._profile,
            bare=self._bare,
            shadow=shadow,
        )
        output = Output()
        peripherals = Peripherals(firmware.board, output.write)
        peripherals.attach(engine)
        semihosting = Semihosting(self.read_output, self.write, output.write, firmware.initial_sp)
        ledger = HeapLedger(firmware)
        stacks = None if self._bare else Stacks(firmware, hooks)
        run = _Run(engine, hooks, stacks, self._paint(engine), output, peripherals, semihosting, ledger, shadow=shadow)
        if shadow is not None:
            run.memory_errors = MemoryErrors(firmware, ledger, shadow, replaced=self._replaced_heap is not None)
        if shadow is not None and self._replaced_heap is not None:
            engine.mem_map(self._replaced_heap.start, self._replaced_heap.size, UC_PROT_READ | UC_PROT_WRITE)
            hooks.replace_allocator()
            run.allocator = ReplacedAllocator(engine, shadow, self._replaced_heap)
        return run

    def _shadow(self) -> NativeShadow:
        firmware, heap = self._firmware, self._replaced_heap
        return NativeShadow(
            native.unicorn_probe(),
            firmware,
            [*initial_states(firmware), *([(heap, heap_state(heap))] if heap is not None else ())],
            defined_ranges(firmware),
            in_program=firmware.entry_of("main") is None,
        )

    def _paint(self, engine: Uc) -> StackPaint | None:
        firmware = self._firmware
        if self._bare or firmware.stack_limit is None:
            return None
        return StackPaint(
            firmware.stack_limit,
            firmware.initial_sp,
            read=lambda address, size: bytes(engine.mem_read(address, size)),
            write=engine.mem_write if firmware.stack_is_reserved else None,
        )

    def _touched(self, run: _Run, stacks: list[StackUse]) -> int | str:
        """Return the first stack's touched bytes, or why it may have been something else that touched them."""
        firmware, limit, top = self._firmware, self._firmware.stack_limit, self._firmware.initial_sp
        if run.paint is None or limit is None:
            return "nothing tells which memory is the stack's"
        if not firmware.stack_is_reserved and (not run.ledger.follows or run.ledger.lay_in(limit, top)):
            return "the heap may lie in the memory below the stack"
        if any(limit < other.top <= top for other in stacks[1:]):
            return "another stack lies in the memory below the stack"
        touched = top - run.paint.lowest
        if touched > stacks[0].peak_bytes or (touched == top - limit and firmware.stack_array(top) is not None):
            return "something else wrote to the stack's memory, such as startup code that clears it"
        return touched

    def _stack_bytes_by_region(self, run: _Run, stacks: list[StackUse]) -> dict[str, int] | None:
        """Return the peaks of the stacks in each memory, without those that are static RAM or heap already."""
        assert run.stacks is not None, "only a bare machine follows none"
        if run.stacks.cut:
            return None
        firmware = self._firmware
        counted: dict[str, int] = {}
        for stack, found in zip(stacks, run.stacks.found, strict=True):
            region = firmware.board.region_at(stack.top - 1)
            if region is not None and not found.in_heap and not firmware.is_static(stack.top - 1):
                counted[region.name] = counted.get(region.name, 0) + stack.peak_bytes
        return counted

    def _heap_region(self, run: _Run) -> str | None:
        """Return the memory that all allocations were in, or None where there were none or they were in several."""
        regions = [region.name for region in self._firmware.board.ram if run.ledger.lay_in(region.start, region.end)]
        return regions[0] if len(regions) == 1 else None

    def _go(self, run: _Run, pc: int) -> Stop:
        before = run.hooks.instructions
        run.waiting = False
        fault = self._run_on(run, pc, before)
        if not self._bare and run.hooks.stop_reason not in (native.STOP_PAUSE, native.STOP_UNKNOWN_CODE):
            run.hooks.cut_block(run.pc)
        self._take_events(run)
        if run.paint is not None:
            run.paint.look()
        if fault is not None:
            run.faults.append(fault)
        count = None if self._bare else run.hooks.instructions - before
        run.waiting = run.hooks.stop_reason == native.STOP_YIELD
        if run.waiting:
            return Stop("yield", count)
        if run.exit_status is not None:
            return Stop("exit", count, exit_status=run.exit_status)
        return Stop("fault", count, fault=fault)

    def _run_on(self, run: _Run, pc: int, before: int) -> Fault | None:
        """Run from ``pc`` until the hooks stop the engine or it faults; the limits are looked at in pauses."""
        limits, hooks = self._limits, run.hooks
        budget = before + limits.instructions
        deadline = time.monotonic() + limits.seconds
        while True:
            hooks.run_until(min(budget, hooks.instructions + _PAUSE))
            self._emulate(run, pc)
            pc = run.pc
            match hooks.stop_reason:
                case native.STOP_YIELD:
                    return None
                case native.STOP_EXIT:
                    run.exit_status = run.engine.reg_read(UC_ARM_REG_R0)
                    return None
                case native.STOP_STACK_CHANGE:
                    self._follow_stack(run)
                    if hooks.stop_reason == native.STOP_STACK_OVERFLOW:
                        return self._stack_overflow(run)
                case native.STOP_STACK_OVERFLOW:
                    return self._stack_overflow(run)
                case native.STOP_OUT_OF_MEMORY:
                    raise MemoryError("no memory left for the counters")
                case native.STOP_PAUSE if hooks.instructions >= budget:
                    detail = f"the run has not ended after {limits.instructions} instructions"
                    return self._fault(run, "instruction_budget", pc, detail)
                case native.STOP_PAUSE:
                    self._take_events(run)
                case native.STOP_ALLOCATOR:
                    pc = self._serve_allocator(run)
                case native.STOP_UNKNOWN_CODE:
                    hooks.describe_code(self._peek)
                case _ if self._last_hint(run) == _YIELD:
                    pass  # which means nothing where there is one thread
                case _ if hooks.exception == _BREAKPOINT and self._peek(pc, 2) == _SEMIHOSTING_CALL:
                    try:
                        self._serve_semihosting(run)
                    except SemihostingError as error:
                        return self._fault(run, "semihosting", pc, str(error))
                    pc += 2
                    run.engine.reg_write(UC_ARM_REG_PC, pc | 1)
                    if run.exit_status is not None:
                        return None
                case _ if not self._let_execute(run, pc):
                    return self._unicorn_fault(run, pc)
            if time.monotonic() >= deadline:
                return self._fault(run, "time_limit", pc, f"the run has not ended after {limits.seconds:g} seconds")

    def _take_events(self, run: _Run) -> None:
        """Empty the lists of what happened, before the next thing does."""
        self._follow_heap(run)
        if run.memory_errors is not None:
            run.memory_errors.take()

    def _follow_heap(self, run: _Run) -> None:
        run.ledger.add(run.hooks.take_heap_events(), run.hooks.take_callers())
        machine = run.hooks.take_meeting()
        if machine is not None:
            floor, top = self._firmware.stack_region.start, self._firmware.initial_sp
            backtrace = peak_backtrace(self._firmware, machine, self._code.delta_at, floor, top)
            run.ledger.meet(machine, backtrace, run.hooks.heap_end)

    def _follow_stack(self, run: _Run) -> None:
        """Say which stack SP has been moved to, at the machine's stop."""
        assert run.stacks is not None, "only a bare machine follows none"
        address = run.hooks.change_address
        blocks = (run.hooks.current_block, run.hooks.previous_block)
        block = next((b for b in blocks if b is not None and b.address < address <= b.address + b.size), None)
        start = address if block is None else block.address
        code = self._peek(start, address - start)
        run.hooks.cut_block(run.pc)
        self._take_events(run)
        run.stacks.follow(run.engine.reg_read(UC_ARM_REG_SP), code, start, run.ledger.block_near)
        current = run.stacks.current
        if run.shadow is not None and current is not None and current is not run.stacks.found[0]:
            run.shadow.open_stack(run.stacks.state.floor, current.top)

    def _serve_allocator(self, run: _Run) -> int:
        """Do what the allocator function is called for at which the engine stands, and return where it goes on."""
        assert run.allocator is not None, "only where the allocator is replaced the engine stops at it"
        run.hooks.cut_block(run.pc)
        call = run.hooks.allocator_call
        pc = call.return_address
        result = run.allocator.serve(call)
        if call.event.function != native.HEAP_FREE:
            run.engine.reg_write(UC_ARM_REG_R0, result)
        run.engine.reg_write(UC_ARM_REG_PC, pc | 1)
        run.hooks.allocator_served(result)
        return pc

    def _serve_semihosting(self, run: _Run) -> None:
        """Do what r0 and r1 ask for; raises SemihostingError where that cannot be done."""
        answer = run.semihosting.call(run.engine.reg_read(UC_ARM_REG_R0), run.engine.reg_read(UC_ARM_REG_R1))
        if isinstance(answer, Exit):
            run.exit_status = answer.status
        else:
            run.engine.reg_write(UC_ARM_REG_R0, answer)

    def _let_execute(self, run: _Run, pc: int) -> bool:
        """Make the page at ``pc`` executable, where it is RAM that code may run from and this was all that was missing.

        Unicorn translates again what a store to an executable page may have changed, so a stack in RAM that is
        executable from the start makes firmware several times slower.
        """
        if not run.fetch_failed or not run.in_thumb_state:
            return False
        ram = [region for region in self._firmware.board.ram if region.executable]
        # The second half of an instruction may be in the next page.
        pages = [address & -_PAGE for address in (pc, pc + 2) if any(address in region for region in ram)]
        page = next((page for page in pages if page not in run.executable_pages), None)
        if page is None:
            return False
        run.executable_pages.add(page)
        run.engine.mem_protect(page, _PAGE, UC_PROT_ALL)
        return True

    def _executable(self, address: int) -> bool:
        region = self._firmware.board.region_at(address)
        return region is not None and region.executable

    def _emulate(self, run: _Run, pc: int) -> None:
        run.peripherals.refused = None
        try:
            run.engine.emu_start(pc | 1, _NOWHERE)
        except UcError as error:
            if error.errno == UC_ERR_NOMEM:
                raise MemoryError("Unicorn has no memory left") from error

    # ---- faults ------------------------------------------------------------------------------------------------------

    def _unicorn_fault(self, run: _Run, pc: int) -> Fault:
        """Say why the engine stopped by itself at ``pc``."""
        exception, access = run.hooks.exception, run.hooks.access
        refused = run.peripherals.refused
        if refused is not None:
            kind, detail = describe_access(self._firmware.board, *refused)
            return self._fault(run, kind, pc, detail, address=refused[1])
        if access is not None and access[0] in _ACCESSES:
            kind, detail = describe_access(self._firmware.board, _ACCESSES[access[0]], *access[1:])
            return self._fault(run, kind, pc, detail, address=access[1])
        if run.fetch_failed and (run.in_thumb_state or not self._executable(pc)):
            kind, detail = describe_access(self._firmware.board, "fetch", pc, 2)
            return self._fault(run, kind, self._jump(run, run.hooks.current_block), detail, address=pc)
        if exception == _BREAKPOINT:
            return self._fault(run, "breakpoint", pc, f"BKPT {self._peek(pc, 1)[0]:#04x}")
        if exception == _SUPERVISOR_CALL:
            return self._fault(run, "exception", pc - 2, "SVC: exceptions are not emulated")
        if exception is not None:
            return self._fault(run, "exception", pc, f"exception {exception} of the emulated core")
        hint = self._last_hint(run)
        if hint is not None:
            return self._fault(run, "wait_for_interrupt", pc - 2, f"{hint} waits for ever: there are no interrupts")
        if not run.in_thumb_state:
            detail = f"jump to {pc:#010x}: {describe_arm_state(pc)}"
            jumped = run.hooks.current_block if run.fetch_failed else run.hooks.previous_block
            return self._fault(run, "invalid_instruction", self._jump(run, jumped), detail, address=pc)
        detail = f"the core does not know the instruction {int.from_bytes(self._peek(pc, 2), 'little'):#06x}"
        return self._fault(run, "invalid_instruction", pc, detail)

    def _stack_overflow(self, run: _Run) -> Fault:
        stacks = run.stacks
        assert stacks is not None, "only a bare machine follows none"
        assert stacks.current is not None, "nothing is noted where SP is on no stack"
        firmware, lowest, limit = self._firmware, stacks.state.peak.lowest, stacks.state.limit
        peak, delta_at = stacks.state.peak, self._code.delta_at
        backtrace = peak_backtrace(firmware, peak, delta_at, stacks.state.floor, stacks.current.top)
        pc = backtrace[0].pc
        whose = "the stack" if len(stacks.found) == 1 else stacks.current.name
        detail = f"SP goes to {lowest:#010x}, {limit - lowest} bytes below the limit {limit:#010x} of {whose}"
        return Fault(
            **firmware.locate(pc).model_dump(),
            kind="stack_overflow",
            address=lowest,
            pc=pc,
            detail=detail,
            backtrace=backtrace,
        )

    def _fault(self, run: _Run, kind: str, pc: int, detail: str, address: int | None = None) -> Fault:
        return Fault(
            **self._firmware.locate(pc).model_dump(),
            kind=kind,
            address=address,
            pc=pc,
            detail=detail,
            backtrace=self._backtrace(run, pc),
        )

    def _backtrace(self, run: _Run, pc: int) -> list[Frame]:
        registers = [run.engine.reg_read(register) for register in _REGISTERS]
        registers[_SP] -= self._popped(run, pc)
        stack = run.stacks.current if run.stacks is not None else None
        top = stack.top if stack is not None else self._firmware.initial_sp
        return unwind(self._firmware, [*registers, pc], self._peek, registers[_SP], pc, top)

    def _popped(self, run: _Run, pc: int) -> int:
        """Return by how much the instruction at ``pc`` raised SP, where it has run: a return to where no code is."""
        delta = self._code.delta_at(pc)
        return delta if run.pc != pc and delta != DYNAMIC else 0

    def _jump(self, run: _Run, block: Block | None) -> int:
        """Return the address of the instruction that ended ``block``."""
        if block is None:
            return run.pc
        return [*instruction_addresses(self._peek(block.address, block.size), block.address)][-1]

    def _last_hint(self, run: _Run) -> str | None:
        """Return the hint (WFI, WFE, YIELD) that has just run and at which Unicorn stops, or None."""
        block = run.hooks.current_block
        if block is None or run.pc != block.address + block.size or run.hooks.access or run.hooks.exception:
            return None
        return _HINTS.get(int.from_bytes(self._peek(run.pc - 2, 2), "little"))

    def _peek(self, address: int, size: int) -> bytes:
        """Return memory, or nothing where there is none."""
        try:
            return self.read(address, size)
        except ValueError:
            return b""


def _protection(region: Region) -> int:
    letters = region.access.replace("x", "") if region.writable else region.access  # see _let_execute
    return sum(bit for letter, bit in _PROTECTION.items() if letter in letters)
