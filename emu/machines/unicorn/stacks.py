"""The firmware's stacks, found by following SP from one to the next."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from emu.architectures.core import Core, StackPeak
from emu.firmware import MOST_ABOVE_STACK, Firmware
from emu.native.unicorn import Snapshot, StackState
from emu.native.unicorn.hooks import NativeHooks
from emu.probes.heap_faults import Block
from emu.probes.main_stack import NO_LIMIT, why_no_limit
from emu.record import StackUse

MOST_STACKS = 64
"""The most stacks that are followed; all others are ignored."""

_SP = 13
MAIN, _PROCESS = "main stack (MSP)", "process stack (PSP)"

HeapBlock = Callable[[int], Block | None]
"""Returns the heap block that holds an address."""


@dataclass
class FoundStack:
    """A stack as it was found, before it is measured."""

    name: str
    pointer: Literal["MSP", "PSP"]
    top: int
    limit: int | None
    """The lowest address of the stack; None if it is not known."""
    room: tuple[int, int] | None = None
    """Start and end of the variable or heap block that is the stack; None if it is neither."""
    in_heap: bool = False


def stack_peak(snapshot: Snapshot, floor: int, top: int) -> StackPeak:
    """Return the peak in ``snapshot`` of a stack that begins at ``top``, without bytes below ``floor``."""
    registers = list(snapshot.registers)
    start = max(registers[_SP], floor)
    return StackPeak(snapshot.lowest, snapshot.pc, registers, start, bytes(snapshot.stack[: max(0, top - start)]))


class Stacks:
    """The stacks of one run: first the stack of the reset, then each other stack when SP moves to it.

    ``hooks`` follow SP, and ask when SP is on no known stack.
    """

    def __init__(self, firmware: Firmware, core: Core, hooks: NativeHooks):
        self._firmware, self._core, self._hooks = firmware, core, hooks
        self.found: list[FoundStack] = []
        self.cut = False
        """Whether there were more stacks than ``MOST_STACKS``."""
        array, top = firmware.stack_array(firmware.initial_sp), firmware.initial_sp
        name, room = (MAIN, None) if array is None else (array.readable, (array.address, array.end))
        self._add(FoundStack(name, "MSP", top, firmware.stack_limit, room))
        hooks.enter_stack(1, top)

    @property
    def current(self) -> FoundStack | None:
        """The stack that SP is on; None if SP is on no stack."""
        index = self._hooks.current_stack
        return self.found[index - 1] if index else None

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
        if not any(sp - 1 in region for region in self._firmware.board.ram):
            self._hooks.enter_stack(0, sp)
            return
        stack = self._stack_at(sp, pointer, heap_block)
        rooms = [(known.room, known.pointer) for known in self.found]
        if stack.room is not None and (stack.room, pointer) in rooms:
            self._hooks.enter_stack(1 + rooms.index((stack.room, pointer)), sp)
        elif len(self.found) == MOST_STACKS:
            self.cut = True
            self._hooks.enter_stack(0, sp)
        else:
            self._add(stack)
            self._hooks.enter_stack(len(self.found), sp)

    def _stack_at(self, sp: int, pointer: Literal["MSP", "PSP"], heap_block: HeapBlock) -> FoundStack:
        array = self._firmware.stack_array(sp)
        if array is not None:
            room = (array.address, array.end)
            return FoundStack(array.readable, pointer, max(sp, array.end & ~7), array.address, room)
        block = heap_block(sp - 1)
        if block is not None and block.freed is None:
            start, end = block.address, block.address + block.size
            whole = end - sp <= MOST_ABOVE_STACK
            name = f"heap block at {start:#010x}"
            return FoundStack(name, pointer, max(sp, end & ~7) if whole else sp, start, (start, end), in_heap=True)
        return FoundStack(self._name(sp, pointer), pointer, sp, self._limit(sp))

    def _add(self, stack: FoundStack) -> None:
        floor = self._floor(stack.top) if stack.limit is None else stack.limit
        state = StackState(process=stack.pointer == "PSP", top=stack.top, limit=floor, floor=floor)
        for other, known in zip(self._hooks.stacks[1:], self.found, strict=True):
            if known.limit is not None and known.limit < stack.top <= other.peak.lowest:
                known.limit = other.limit = stack.top  # the free memory below one stack is another stack now
        self._hooks.add_stack(state)
        self.found.append(stack)

    def _floor(self, top: int) -> int:
        return next(region.start for region in self._firmware.board.ram if top - 1 in region)

    def _limit(self, sp: int) -> int | None:
        limit = self._firmware.limit_below(sp)
        if limit is None:
            return None
        return max([limit, *(stack.top for stack in self.found if limit < stack.top < sp)])

    def _name(self, sp: int, pointer: str) -> str:
        variable = self._firmware.variable_at(sp - 1)
        if variable is not None:
            return f"{variable.readable}+{sp - variable.address:#x}"
        if pointer == "PSP" and all(stack.name != _PROCESS for stack in self.found):
            return _PROCESS
        return f"stack at {sp:#010x}"

    @property
    def not_measured(self) -> dict[str, str]:
        """The reason for each unknown figure of the stacks, by the figure's name."""
        reasons = why_no_limit(self._firmware)
        reasons |= {f"limit of {stack.name}": NO_LIMIT for stack in self.found[1:] if stack.limit is None}
        if self.cut:
            reasons["stacks"] = f"SP was on more than {MOST_STACKS} stacks"
        return reasons

    def measure(self) -> list[StackUse]:
        """Return each stack's figures, starting with the first stack."""
        uses = []
        for stack, state in zip(self.found, self._hooks.stacks[1:], strict=True):
            uses.append(
                StackUse(
                    name=stack.name,
                    pointer=stack.pointer,
                    top=stack.top,
                    limit_bytes=None if stack.limit is None else stack.top - stack.limit,
                    peak_bytes=stack.top - state.peak.lowest,
                    backtrace=self._core.peak_backtrace(stack_peak(state.peak, state.floor, stack.top), stack.top),
                )
            )
        return uses


def _sets_sp_anew(code: bytes, address: int) -> bool:
    from emu.architectures.armv7em.stack_effects import sets_sp_anew  # few programs move SP to another stack

    return sets_sp_anew(code, address)
