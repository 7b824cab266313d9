"""Firmware in Unicorn: the core's instructions, FPU and exceptions, and the board's memory, but no other hardware."""

from __future__ import annotations

from typing import TYPE_CHECKING

from unicorn import (
    UC_ARCH_ARM,
    UC_MODE_THUMB,
    UC_PROT_ALL,
    UC_PROT_EXEC,
    UC_PROT_READ,
    UC_PROT_WRITE,
)
from unicorn.arm_const import (
    UC_ARM_REG_LR,
    UC_ARM_REG_PC,
    UC_ARM_REG_R0,
    UC_ARM_REG_R1,
    UC_ARM_REG_SP,
    UC_CPU_ARM_CORTEX_M4,
    UC_CPU_ARM_CORTEX_M7,
)
from unicorn.unicorn import Uc, UcError
from unicorn.unicorn_const import UC_ERR_NOMEM

from emu.architectures.armv7em.core import CortexM
from emu.filler import PAINT
from emu.firmware import Firmware
from emu.instruments import NOTHING_ON_REQUEST, Instruments
from emu.machines import Machine, Measurements, Stop
from emu.machines.bare import measured_bare
from emu.machines.idling import IDLES, last_activity
from emu.machines.output import Output
from emu.machines.semihosting import Exit, Semihosting, SemihostingError
from emu.machines.time_limit import TimeLimit, alarm, own_work
from emu.machines.unicorn.exceptions import WFE, no_handler, take_fault, waits_forever
from emu.machines.unicorn.faults import BREAKPOINT, YIELD, last_hint, make_fault, stack_overflow
from emu.machines.unicorn.measurements import measure
from emu.machines.unicorn.run import Run
from emu.machines.unicorn.stacks import Stacks
from emu.machines.unicorn.stopped import Stopped
from emu.native import unicorn as native
from emu.native.unicorn.exceptions import SYSTEM_CONTROL_SPACE
from emu.native.unicorn.hooks import NativeHooks
from emu.native.unicorn.peripherals import PAGE
from emu.probes.allocators import allocator_entries
from emu.probes.heap import HeapLedger
from emu.probes.stack import StackPaint
from emu.record import Fault
from emu.targets import Region, Target

if TYPE_CHECKING:  # the memory checker imports large libraries, and most runs do not use it
    from emu.native.unicorn.shadow import NativeShadow

_CPU_MODELS = {"cortex-m4": UC_CPU_ARM_CORTEX_M4, "cortex-m7": UC_CPU_ARM_CORTEX_M7}
_PROTECTION = {"r": UC_PROT_READ, "w": UC_PROT_WRITE, "x": UC_PROT_EXEC}
_ERASED = 0xFF
_TRANSLATED_BYTES = 128 << 20
"""Memory for translated code; Unicorn would fill a gigabyte with the old code of firmware that changes its code."""
_PAUSE = 16_000_000
"""Instructions between pauses in which Python takes the events: some hundredths of a second."""

_SEMIHOSTING_CALL = b"\xab\xbe"  # BKPT 0xAB


class UnicornMachine(Machine):
    """One firmware in Unicorn (see ``emu.machines.Machine``).

    A ``bare`` machine measures nothing and has no limits; it shows what measuring costs in speed. It counts no
    instructions, so it takes pended exceptions only when the engine stops, and SysTick moves only in WFI.
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
        self._replaced_heap = self._place_for_heap() if instruments.replace_allocator else None
        self._core = CortexM(firmware)
        self._allocator = allocator_entries(firmware)
        self._first_arguments = {entry.address: entry.first_argument for entry in self._allocator}
        self._run: Run | None = None

    def boot(self) -> Stop:
        """Reset, and run until the firmware first reaches ``emu_yield``, or ends."""
        self.close()
        self._run = run = self._reset()
        return self._go(run, self._firmware.reset_pc)

    def resume(self) -> Stop:
        """Let ``emu_yield`` return; raises RuntimeError if the firmware does not wait there."""
        run = self._running
        if not run.waiting:
            raise RuntimeError("the firmware does not wait at emu_yield")
        return self._go(run, self._core.return_address(run.stopped))

    def read(self, address: int, size: int) -> bytes:
        """Return ``size`` bytes of the firmware's memory; raises ValueError if there is none."""
        try:
            return bytes(self._running.engine.mem_read(address, size))
        except UcError as error:
            raise ValueError(f"{self._target.name} has no {size} bytes of memory at {address:#010x}") from error

    def read_output(self, address: int, size: int) -> bytes:
        """Return memory as ``read`` does; the memory checker reports uninitialised bytes in it."""
        run, data = self._running, self.read(address, size)
        if run.memory_errors is not None:
            run.memory_errors.check_output(address, size, run.pc, lambda: run.backtrace(run.pc))
        return data

    def write(self, address: int, data: bytes) -> None:
        """Replace memory from ``address`` on; raises ValueError if there is none."""
        try:
            self._running.engine.mem_write(address, data)
            if self._running.shadow is not None:
                self._running.shadow.define(address, len(data))
        except UcError as error:
            raise ValueError(f"{self._target.name} has no {len(data)} bytes of memory at {address:#010x}") from error

    def close(self) -> None:
        """Release the engine and its counters; calling it again does nothing."""
        if self._run is not None:
            self._run.close()
            self._run = None

    @property
    def _running(self) -> Run:
        if self._run is None:
            raise RuntimeError("the machine has not been booted")
        return self._run

    def measure(self) -> Measurements:
        """Return what was measured since ``boot``."""
        if self._bare:
            return measured_bare(self._running.faults, self._running.output)
        return measure(self._running, self._instruments)

    # ---- running -----------------------------------------------------------------------------------------------------

    def _reset(self) -> Run:
        firmware = self._firmware
        engine = Uc(UC_ARCH_ARM, UC_MODE_THUMB)  # UC_MODE_MCLASS would replace the CPU model by one without doubles
        engine.ctl_set_tcg_buffer_size(_TRANSLATED_BYTES)
        engine.ctl_set_cpu_model(_CPU_MODELS[firmware.board.cpu])
        for region in firmware.board.memory:
            if region.start != SYSTEM_CONTROL_SPACE:
                engine.mem_map(region.start, region.size, _protection(region))
            if region.kind == "memory":
                engine.mem_write(region.start, bytes([PAINT if region.writable else _ERASED]) * region.size)
        for segment in firmware.segments:
            engine.mem_write(segment.load_address, segment.data)
        engine.reg_write(UC_ARM_REG_SP, firmware.initial_sp)
        engine.reg_write(UC_ARM_REG_LR, 0xFFFF_FFFF)
        ledger = HeapLedger(firmware, self._core)
        shadow = self._shadow(ledger) if self._instruments.memcheck else None
        hooks = NativeHooks(
            engine,
            firmware,
            self._core.code,
            firmware.entry_of("emu_yield"),
            firmware.exits,
            self._allocator,
            self._instruments,
            bare=self._bare,
            shadow=shadow,
        )
        if any(region.start == SYSTEM_CONTROL_SPACE for region in firmware.board.memory):
            hooks.exceptions.map_registers()
        output = Output()
        semihosting = Semihosting(self.read_output, self.write, output.write, firmware.initial_sp, look=self.read)
        memory_errors = moved_blocks = None
        stopped = Stopped(engine)
        if shadow is not None:
            from emu.machines.unicorn.memory_errors import MemoryErrors
            from emu.machines.unicorn.moved_blocks import MovedBlocks

            replaced = self._replaced_heap is not None
            memory_errors = MemoryErrors(firmware, self._core, ledger, shadow, stopped.read, replaced=replaced)
            if self._replaced_heap is not None:
                engine.mem_map(self._replaced_heap.start, self._replaced_heap.size, UC_PROT_READ | UC_PROT_WRITE)
                hooks.move_blocks()
                moved_blocks = MovedBlocks(engine, shadow, self._replaced_heap)
                ledger.place_of = moved_blocks.own_address
        stacks = None if self._bare else Stacks(firmware, self._core, hooks, stopped.read)
        if stacks is not None:
            ledger.callers.task_of = stacks.found.task
        return Run(
            firmware=firmware,
            core=self._core,
            engine=engine,
            hooks=hooks,
            stacks=stacks,
            paint=self._paint(engine),
            output=output,
            semihosting=semihosting,
            ledger=ledger,
            shadow=shadow,
            memory_errors=memory_errors,
            moved_blocks=moved_blocks,
        )

    def _place_for_heap(self) -> Region:
        from emu.machines.unicorn.moved_blocks import place_for_heap

        return place_for_heap(self._firmware.board)

    def _shadow(self, ledger: HeapLedger) -> NativeShadow:
        from emu.machines.unicorn.addressability import defined_ranges, heap_state, initial_states
        from emu.native.unicorn.shadow import NativeShadow

        firmware, heap = self._firmware, self._replaced_heap
        states = initial_states(firmware, heap_is_followed=ledger.follows)
        if heap is not None:
            states.append((heap, heap_state(heap)))
        return NativeShadow(
            native.unicorn_probe(),
            firmware,
            states,
            defined_ranges(firmware),
            follows_undefined=bool(firmware.symbols),
            in_program=firmware.entry_of("main") is None,
        )

    def _paint(self, engine: Uc) -> StackPaint | None:
        def read(address: int, size: int) -> bytes:
            return bytes(engine.mem_read(address, size))

        return None if self._bare else StackPaint.of(self._firmware, read, engine.mem_write)

    def _go(self, run: Run, pc: int) -> Stop:
        before = run.hooks.instructions
        run.waiting = False
        time_limit = TimeLimit(self._instruments.limits.seconds, own_work())
        with alarm(time_limit, run.hooks.pause):
            fault = self._run_on(run, pc, before, time_limit)
        if not self._bare and run.hooks.stop_reason not in (native.STOP_PAUSE, native.STOP_UNKNOWN_CODE):
            run.hooks.cut_block(run.pc)
        run.take_events()
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

    def _run_on(self, run: Run, pc: int, before: int, time_limit: TimeLimit) -> Fault | None:
        """Run from ``pc`` until the hooks stop the engine or it faults; the limits are checked in pauses."""
        limits, hooks = self._instruments.limits, run.hooks
        budget = before + limits.instructions
        while True:
            hooks.run_until(min(budget, hooks.instructions + _PAUSE))
            self._emulate(run, pc)
            pc = run.pc
            match hooks.stop_reason:
                case native.STOP_YIELD:
                    return None
                case native.STOP_EXIT:
                    run.exit_status = self._core.first_argument(run.stopped)
                    return None
                case native.STOP_STACK_CHANGE:
                    self._follow_stack(run)
                    if hooks.stop_reason == native.STOP_STACK_OVERFLOW:
                        return stack_overflow(run)
                case native.STOP_STACK_OVERFLOW:
                    return stack_overflow(run)
                case native.STOP_OUT_OF_MEMORY:
                    raise MemoryError("no memory left for the counters")
                case native.STOP_PAUSE if hooks.instructions >= budget:
                    detail = f"the run has not ended after {limits.instructions} instructions{self._activity(run)}"
                    return make_fault(run, "instruction_budget", pc, detail)
                case native.STOP_PAUSE:
                    run.take_events()
                case native.STOP_ALLOCATOR:
                    self._give_own_block(run)
                case native.STOP_ALLOCATED:
                    self._move_block(run)
                case native.STOP_UNKNOWN_CODE:
                    hooks.describe_code(run.peek)
                case native.STOP_NO_HANDLER:
                    return no_handler(run, pc)
                case native.STOP_SLEEP if not hooks.exceptions.wait(for_event=False):
                    return waits_forever(run, pc, "SLEEPONEXIT")
                case native.STOP_SLEEP:
                    pass
                case native.STOP_TRAPS:
                    hooks.cut_block(pc)
                    hooks.watch_traps()
                case native.STOP_IDLE if pc in self._firmware.exits:  # its hook would have come after the block's
                    run.exit_status = self._core.first_argument(run.stopped)
                    return None
                case native.STOP_IDLE if self._core.is_after_main(run.stopped):
                    run.exit_status = 0
                    return None
                case native.STOP_IDLE:
                    return make_fault(run, "wait_for_interrupt", pc, IDLES)
                case native.STOP_RESET:
                    return make_fault(run, "reset", pc, "the firmware asks for a reset (AIRCR.SYSRESETREQ)")
                case _ if (hint := last_hint(run)) == YIELD:
                    pass  # YIELD has no effect with one thread
                case _ if hint is not None:
                    if not hooks.exceptions.wait(for_event=hint == WFE):
                        return waits_forever(run, pc, hint)
                case _ if hooks.exception == BREAKPOINT and run.peek(pc, 2) == _SEMIHOSTING_CALL:
                    try:
                        self._serve_semihosting(run)
                    except SemihostingError as error:
                        return make_fault(run, "semihosting", pc, str(error))
                    pc += 2
                    run.engine.reg_write(UC_ARM_REG_PC, pc | 1)
                    if run.exit_status is not None:
                        return None
                case _ if not self._let_execute(run, pc):
                    fault = take_fault(run, pc)
                    if fault is not None:
                        return fault
                    if hooks.stop_reason == native.STOP_STACK_CHANGE:
                        self._follow_stack(run)
                    if hooks.stop_reason == native.STOP_STACK_OVERFLOW:
                        return stack_overflow(run)
                    pc = run.pc
            if time_limit.is_over:
                detail = f"the run has not ended after {time_limit.words}{self._activity(run)}"
                return make_fault(run, "time_limit", pc, detail)

    def _activity(self, run: Run) -> str:
        return last_activity(
            self._firmware.board, self._core, run.stopped, run.hooks.peripherals.poll, run.hooks.instructions
        )

    def _follow_stack(self, run: Run) -> None:
        """Find the stack that SP was moved to; the engine has stopped for this search."""
        assert run.stacks is not None, "only a bare machine follows none"
        address = run.hooks.change_address
        blocks = (run.hooks.current_block, run.hooks.previous_block)
        block = next((b for b in blocks if b is not None and b.address < address <= b.address + b.size), None)
        start = address if block is None else block.address
        code = run.peek(start, address - start)
        run.hooks.cut_block(run.pc)
        run.take_events()
        run.stacks.follow(run.engine.reg_read(UC_ARM_REG_SP), code, start, run.ledger.block_near)
        current = run.stacks.current
        if run.shadow is not None and current is not None and current is not run.stacks.found.stacks[0]:
            number, sp = run.hooks.current_stack, run.engine.reg_read(UC_ARM_REG_SP)
            run.shadow.open_stack(number, run.stacks.state.floor, current.top, None if current.room is None else sp)

    def _give_own_block(self, run: Run) -> None:
        """Give the allocator, which is about to begin, its own block instead of the moved block."""
        assert run.moved_blocks is not None, "the engine stops at the allocator only if blocks are moved"
        run.hooks.cut_block(run.pc)
        call = run.hooks.allocator_call
        first = self._first_arguments[call.entry]
        run.engine.reg_write(UC_ARM_REG_R0 + first, run.moved_blocks.own_block(call))

    def _move_block(self, run: Run) -> None:
        """Give the program other memory for the block that the allocator has just returned."""
        assert run.moved_blocks is not None, "the engine stops at the allocator only if blocks are moved"
        result = run.moved_blocks.returned(run.hooks.allocator_call, run.engine.reg_read(UC_ARM_REG_R0))
        run.engine.reg_write(UC_ARM_REG_R0, result)
        run.hooks.block_moved(result)

    def _serve_semihosting(self, run: Run) -> None:
        """Handle the semihosting call in r0 and r1; raises SemihostingError if emu does not support the call."""
        answer = run.semihosting.call(run.engine.reg_read(UC_ARM_REG_R0), run.engine.reg_read(UC_ARM_REG_R1))
        if isinstance(answer, Exit):
            run.exit_status = answer.status
        else:
            run.engine.reg_write(UC_ARM_REG_R0, answer)

    def _let_execute(self, run: Run, pc: int) -> bool:
        """Make the page at ``pc`` executable if code may run from its RAM; return whether that was done.

        Unicorn translates code again after each store to an executable page. A stack in RAM that is executable from
        the start would make firmware several times slower.
        """
        if not run.fetch_failed or not run.in_thumb_state:
            return False
        ram = [region for region in self._firmware.board.ram if region.executable]
        # The second half of an instruction may be in the next page.
        pages = [address & -PAGE for address in (pc, pc + 2) if any(address in region for region in ram)]
        page = next((page for page in pages if page not in run.executable_pages), None)
        if page is None:
            return False
        run.executable_pages.add(page)
        run.engine.mem_protect(page, PAGE, UC_PROT_ALL)
        return True

    def _emulate(self, run: Run, pc: int) -> None:
        error = run.hooks.run(pc)
        run.output.take(run.hooks.peripherals.output)
        if error == UC_ERR_NOMEM:
            raise MemoryError("Unicorn has no memory left")


def _protection(region: Region) -> int:
    letters = region.access.replace("x", "") if region.writable else region.access  # see _let_execute
    return sum(bit for letter, bit in _PROTECTION.items() if letter in letters)
