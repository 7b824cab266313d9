"""Stacks: which ones the firmware uses, found by following SP from one to the next."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from emu.architectures.armv7em.thumb import sets_sp_anew
from emu.architectures.core import Core, StackPeak
from emu.firmware import MOST_ABOVE_STACK, Firmware
from emu.native.unicorn import Snapshot, StackState
from emu.native.unicorn.hooks import NativeHooks
from emu.probes.heap_faults import Block
from emu.record import StackUse

MOST_STACKS = 64
"""Beyond these SP is followed no more, and nothing is said of the rest."""

_SP = 13
MAIN, _PROCESS = "main stack (MSP)", "process stack (PSP)"

HeapBlock = Callable[[int], Block | None]
"""Returns the heap block that holds an address."""


@dataclass
class FoundStack:
    """A stack as it was found: what is known of it before anything is measured."""

    name: str
    pointer: Literal["MSP", "PSP"]
    top: int
    limit: int | None
    """The lowest address that belongs to it; None where nothing tells."""
    room: tuple[int, int] | None = None
    """Start and end of the variable or the heap block that it is; None where it is neither."""
    in_heap: bool = False


def stack_peak(snapshot: Snapshot, floor: int, top: int) -> StackPeak:
    """Return what ``snapshot`` holds of a stack that begins at ``top``: nothing of what is below ``floor``."""
    registers = list(snapshot.registers)
    start = max(registers[_SP], floor)
    return StackPeak(snapshot.lowest, snapshot.pc, registers, start, bytes(snapshot.stack[: max(0, top - start)]))


class Stacks:
    """The stacks of one run. The first one is that of the reset; each change to another one is found when it happens.

    ``hooks`` follows SP, and asks where it is on none of the stacks that are known.
    """

    def __init__(self, firmware: Firmware, core: Core, hooks: NativeHooks):
        self._firmware, self._core, self._hooks = firmware, core, hooks
        self.found: list[FoundStack] = []
        self.cut = False
        """Whether there were more than ``MOST_STACKS``."""
        array, top = firmware.stack_array(firmware.initial_sp), firmware.initial_sp
        name, room = (MAIN, None) if array is None else (array.name, (array.address, array.end))
        self._add(FoundStack(name, "MSP", top, firmware.stack_limit, room))
        hooks.enter_stack(1, top)

    @property
    def current(self) -> FoundStack | None:
        """The stack that SP is on; None where it is on none."""
        index = self._hooks.current_stack
        return self.found[index - 1] if index else None

    @property
    def state(self) -> StackState:
        """How low the current stack is."""
        return self._hooks.stacks[self._hooks.current_stack]

    def follow(self, sp: int, code: bytes, address: int, heap_block: HeapBlock) -> None:
        """Find out which stack SP is on after the last instruction of ``code`` (which is at ``address``) has set it."""
        pointer = "PSP" if self._hooks.process_stack_in_use else "MSP"
        current = self.current
        moved = code and not sets_sp_anew(code, address)
        if current is not None and current.pointer == pointer and moved:
            self._hooks.enter_stack(self._hooks.current_stack, sp)  # alloca, or too much of it
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
            return FoundStack(array.name, pointer, max(sp, array.end & ~7), array.address, (array.address, array.end))
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
                known.limit = other.limit = stack.top  # what was free below the one is the other now
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
            return f"{variable.name}+{sp - variable.address:#x}"
        if pointer == "PSP" and all(stack.name != _PROCESS for stack in self.found):
            return _PROCESS
        return f"stack at {sp:#010x}"

    @property
    def not_measured(self) -> dict[str, str]:
        """What is not known of the stacks, by the name of the figure, with the reason."""
        reasons = {
            f"limit of {stack.name}": "it begins inside a section, and no variable there is it alone"
            for stack in self.found[1:]
            if stack.limit is None
        }
        if self.found[0].limit is None:
            reasons["stack_limit_bytes"] = "the stack begins inside a section, and no variable there is it alone"
        if self.cut:
            reasons["stacks"] = f"SP was on more than {MOST_STACKS} stacks"
        return reasons

    def measure(self) -> list[StackUse]:
        """Return each stack's figures, the first one's first."""
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
