"""The firmware's stacks in Unicorn: the hooks follow SP, and ask when SP is on no known stack."""

from emu.architectures.armv7em.exception_model import exception_name
from emu.architectures.core import Core, Memory, StackPeak
from emu.firmware import Firmware
from emu.native.unicorn import EXCEPTIONS, Snapshot, StackState
from emu.native.unicorn import MOST_STACKS as _NATIVE_STACKS
from emu.native.unicorn.hooks import NativeHooks
from emu.probes.interrupts import add_interrupts
from emu.probes.stacks import FoundStack, FoundStacks, HeapBlock
from emu.record import Stack

MOST_STACKS = _NATIVE_STACKS - 1
"""The most stacks that are followed; all others are ignored."""

_SP = 13


def stack_peak(snapshot: Snapshot, floor: int, top: int) -> StackPeak:
    """Return the peak in ``snapshot`` of a stack that begins at ``top``, without bytes below ``floor``."""
    registers = list(snapshot.registers)
    start = max(registers[_SP], floor)
    stack = bytes(snapshot.stack[: max(0, top - start)])
    exception = exception_name(snapshot.exception) if snapshot.exception else None
    return StackPeak(snapshot.lowest, snapshot.pc, registers, start, stack, exception)


class Stacks:
    """The stacks of one run: first the stack of the reset, then each other stack when SP moves to it."""

    def __init__(self, firmware: Firmware, core: Core, hooks: NativeHooks, read: Memory):
        self._firmware, self._core, self._hooks = firmware, core, hooks
        self.found = FoundStacks(firmware, read, MOST_STACKS)
        self._follow_last()
        hooks.enter_stack(1, firmware.initial_sp)

    @property
    def current(self) -> FoundStack | None:
        """The stack that SP is on; None if SP is on no stack."""
        index = self._hooks.current_stack
        return self.found.stacks[index - 1] if index else None

    @property
    def state(self) -> StackState:
        """The state of the current stack."""
        return self._hooks.stacks[self._hooks.current_stack]

    def follow(self, sp: int, code: bytes, address: int, heap_block: HeapBlock) -> None:
        """Find the stack that SP is on after the last instruction of ``code`` (at ``address``) has set SP."""
        pointer = "PSP" if self._hooks.process_stack_in_use else "MSP"
        current = self.current
        moved = code and not _sets_sp_anew(code, address)
        if current is not None and current.pointer == pointer and moved:
            self._hooks.enter_stack(self._hooks.current_stack, sp)  # alloca, perhaps of too many bytes
            return
        known = len(self.found.stacks)
        number = self.found.find(sp, pointer, heap_block, lambda number: self._hooks.stacks[number].peak.lowest)
        if len(self.found.stacks) > known:
            self._follow_last()
        self._hooks.enter_stack(number, sp)

    def _follow_last(self) -> None:
        *others, stack = self.found.stacks
        for state, other in zip(self._hooks.stacks[1:], others, strict=True):
            state.limit = self.found.floor(other)
        floor = self.found.floor(stack)
        self._hooks.add_stack(StackState(process=stack.pointer == "PSP", top=stack.top, limit=floor, floor=floor))

    def measure(self) -> Stack:
        """Return each stack's figures, starting with the first stack, and the handlers that ran."""
        uses = []
        for stack, state in zip(self.found.stacks, self._hooks.stacks[1:], strict=True):
            peak = stack_peak(state.peak, state.floor, stack.top)
            uses.append(stack.use(peak.lowest, self._core.peak_backtrace(peak, stack.top)))
        contexts = self._hooks.contexts
        handlers = {
            number: contexts[_NATIVE_STACKS + number]
            for number in range(1, EXCEPTIONS)
            if contexts[_NATIVE_STACKS + number].entry
        }
        threads = contexts[1 : len(uses) + 1]
        return add_interrupts(uses, threads, handlers, self._hooks.exceptions.priority)


def _sets_sp_anew(code: bytes, address: int) -> bool:
    from emu.architectures.armv7em.stack_effects import sets_sp_anew  # few programs move SP to another stack

    return sets_sp_anew(code, address)
