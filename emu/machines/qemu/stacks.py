"""The firmware's stacks in QEMU: the plugin follows SP, and asks when SP is on no known stack."""

from emu.architectures.armv7em.exception_model import FIRST_INTERRUPT, exception_name
from emu.architectures.armv7em.interrupts import group_priority
from emu.architectures.core import Core, CoreError, StackPeak
from emu.firmware import Firmware
from emu.machines.qemu.process import QemuProcess
from emu.native.qemu import MOST_STACKS, Lowest, StackState
from emu.probes.heap import HeapLedger
from emu.probes.interrupts import add_interrupts
from emu.probes.overflow import Overflow
from emu.probes.stacks import FoundStack, FoundStacks
from emu.record import Frame, Stack, StackUse

_AIRCR, _SHPR1, _IPR = 0xE000_ED0C, 0xE000_ED18, 0xE000_E400
"""Registers with the priorities (DDI 0403E, B3.2.6, B3.2.10 and B3.4.7)."""
_FIRST_OF_SHPR = 4


class Stacks:
    """The stacks of one run: first the stack of the reset, then each other stack when SP moves to it."""

    def __init__(self, firmware: Firmware, core: Core, process: QemuProcess, ledger: HeapLedger):
        self._core, self._process, self._shared, self._ledger = core, process, process.shared, ledger
        self.found = FoundStacks(firmware, process.memory.peek, MOST_STACKS - 1)
        self._share()

    def answer(self) -> None:
        """Find the stack that the waiting plugin asks for, if it does; the heap must have been followed up to now."""
        shared = self._shared
        sp, shared.asked_sp = shared.asked_sp, 0
        if not sp:
            return
        pointer = "PSP" if shared.asked_process else "MSP"
        number = self.found.find(sp, pointer, self._ledger.block_near, lambda known: self._state(known).lowest.sp)
        self._share()
        shared.current_stack = number

    def _state(self, number: int) -> StackState:
        return self._shared.stacks[number]

    def _share(self) -> None:
        """Let the plugin know all stacks."""
        for number, stack in enumerate(self.found.stacks, start=1):
            state = self._state(number)
            state.limit = self.found.floor(stack)
            if number >= self._shared.stack_count:
                state.process, state.top, state.lowest.sp = stack.pointer == "PSP", stack.top, stack.top
                self._shared.contexts[number].lowest = stack.top
                self._shared.stack_count = number + 1

    # ---- figures -----------------------------------------------------------------------------------------------------

    @property
    def overflow(self) -> Overflow:
        """The stack, other than the first, whose overflow has stopped the machine."""
        number = self._shared.overflowed
        stack, lowest = self.found.stacks[number - 1], self._state(number).lowest
        assert stack.limit is not None, "only a stack with a limit can overflow"
        process = stack.pointer == "PSP"
        backtrace = self._backtrace(stack, lowest)
        return Overflow(
            stack.name, stack.top, stack.limit, lowest.sp, backtrace, is_first=False, on_process_stack=process
        )

    def measure(self) -> list[StackUse]:
        """Return each stack's figures, starting with the first stack."""
        states = [self._state(number) for number in range(1, len(self.found.stacks) + 1)]
        return [
            stack.use(state.lowest.sp, self._backtrace(stack, state.lowest))
            for stack, state in zip(self.found.stacks, states, strict=True)
        ]

    def interrupts(self, uses: list[StackUse]) -> Stack:
        """Return the stacks with what interrupts add to them, if QEMU still tells the priorities."""
        contexts, handlers = self._shared.contexts, range(MOST_STACKS, len(self._shared.contexts))
        ran = {number - MOST_STACKS: contexts[number] for number in handlers if contexts[number].entry}
        try:
            priorities = {number: self._priority(number) for number in ran}
        except CoreError:
            return Stack(backtrace=uses[0].backtrace, stacks=uses)
        return add_interrupts(uses, contexts[1 : len(uses) + 1], ran, priorities.__getitem__)

    def _priority(self, number: int) -> int:
        core = self._process.stopped()
        at = _SHPR1 + number - _FIRST_OF_SHPR if number < FIRST_INTERRUPT else _IPR + number - FIRST_INTERRUPT
        priority, aircr = (int.from_bytes(core.read(address, 4), "little") for address in (at & ~3, _AIRCR))
        return group_priority(number, priority >> 8 * (at & 3) & 0xFF, aircr >> 8 & 7)

    def _backtrace(self, stack: FoundStack, lowest: Lowest) -> list[Frame]:
        registers = self._core.at(list(lowest.registers), lowest.pc)
        exception = exception_name(lowest.exception) if lowest.exception else None
        memory = bytes(lowest.stack[: lowest.stack_bytes])
        peak = StackPeak(lowest.sp, lowest.lowered_at, registers, lowest.stack_start, memory, exception)
        return self._core.peak_backtrace(peak, stack.top)
