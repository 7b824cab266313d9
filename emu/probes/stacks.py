"""The firmware's stacks, each found when SP first moves to it: its name, its task and its limit."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from emu.architectures.core import Memory
from emu.firmware import MOST_ABOVE_STACK, Firmware
from emu.probes.heap import HeapLedger
from emu.probes.heap_faults import Block
from emu.probes.main_stack import NO_LIMIT, main_stack_name, why_no_limit
from emu.probes.stack import StackPaint
from emu.probes.tasks import Tasks
from emu.record import Frame, StackUse

Pointer = Literal["MSP", "PSP"]
HeapBlock = Callable[[int], Block | None]
"""Returns the heap block that holds an address."""
_PROCESS = "process stack (PSP)"


@dataclass
class FoundStack:
    """A stack as it was found, before it is measured."""

    name: str
    """The task that has the stack, or else its place."""
    pointer: Pointer
    top: int
    limit: int | None
    """The lowest address of the stack; None if it is not known."""
    room: tuple[int, int] | None = None
    """Start and end of the variable or heap block that is the stack; None if it is neither."""
    in_heap: bool = False
    place: str | None = None
    """The variable or heap block, if the stack has the name of its task; else None."""

    def use(self, lowest: int, backtrace: list[Frame]) -> StackUse:
        """Return the stack's figures, if its lowest SP was ``lowest``, with ``backtrace``."""
        return StackUse(
            name=self.name,
            place=self.place,
            pointer=self.pointer,
            top=self.top,
            limit_bytes=None if self.limit is None else self.top - self.limit,
            peak_bytes=self.top - lowest,
            backtrace=backtrace,
        )


class FoundStacks:
    """The stacks so far, in the order in which SP came to them; the first is the one that the firmware starts on.

    ``read`` returns the machine's memory.
    """

    def __init__(self, firmware: Firmware, read: Memory, most: int):
        self._firmware, self._read, self._most = firmware, read, most
        self._tasks = Tasks(firmware)
        self.cut = False
        """Whether there were more stacks than ``most``; the others are ignored."""
        array, top = firmware.stack_array(firmware.initial_sp), firmware.initial_sp
        room = None if array is None else (array.address, array.end)
        self.stacks = [FoundStack(main_stack_name(firmware, "MSP"), "MSP", top, firmware.stack_limit, room)]

    def find(self, sp: int, pointer: Pointer, heap_block: HeapBlock, lowest: Callable[[int], int]) -> int:
        """Return the number, from 1 on, of the stack that ``sp`` is on; 0 if it is on none.

        A new stack comes last. ``lowest`` returns the lowest SP so far on the stack with a number. If the free memory
        below a stack has become another stack, its limit goes up.
        """
        if not any(sp - 1 in region for region in self._firmware.board.ram):
            return 0
        stack = self._stack_at(sp, pointer, heap_block)
        rooms = [(known.room, known.pointer) for known in self.stacks]
        if stack.room is not None and (stack.room, pointer) in rooms:
            return 1 + rooms.index((stack.room, pointer))
        if len(self.stacks) == self._most:
            self.cut = True
            return 0
        for number, known in enumerate(self.stacks, start=1):
            if known.limit is not None and known.limit < stack.top <= lowest(number):
                known.limit = stack.top
        self.stacks.append(stack)
        return len(self.stacks)

    def floor(self, stack: FoundStack) -> int:
        """Return the lowest address that SP may have on ``stack``: its limit, or the start of its memory."""
        if stack.limit is not None:
            return stack.limit
        return next(region.start for region in self._firmware.board.ram if stack.top - 1 in region)

    def task(self, number: int) -> str | None:
        """Return the name of a stack if it is not the one that the firmware starts on."""
        return self.stacks[number - 1].name if 1 < number <= len(self.stacks) else None

    @property
    def not_measured(self) -> dict[str, str]:
        """The reason for each unknown figure of the stacks, by the figure's name."""
        reasons = why_no_limit(self._firmware)
        reasons |= {f"limit of {stack.name}": NO_LIMIT for stack in self.stacks[1:] if stack.limit is None}
        if self.cut:
            reasons["stacks"] = f"SP was on more than {self._most} stacks"
        return reasons

    def bytes_by_region(self, uses: Sequence[StackUse]) -> dict[str, int] | None:
        """Return the peaks of the stacks by memory, without stacks that static RAM or the heap counts already.

        None if there were too many stacks.
        """
        if self.cut:
            return None
        counted: dict[str, int] = {}
        for use, stack in zip(uses, self.stacks, strict=True):
            region = self._firmware.board.region_at(use.top - 1)
            if region is not None and not stack.in_heap and not self._firmware.is_static(use.top - 1):
                counted[region.name] = counted.get(region.name, 0) + use.peak_bytes
        return counted

    def _stack_at(self, sp: int, pointer: Pointer, heap_block: HeapBlock) -> FoundStack:
        block = heap_block(sp - 1)
        if block is not None and block.freed is None:
            start, end = block.address, block.address + block.size
            top = max(sp, end & ~7) if end - sp <= MOST_ABOVE_STACK else sp
            name = f"heap block at {start:#010x}"
            return self._named(FoundStack(name, pointer, top, start, (start, end), in_heap=True))
        array = self._firmware.stack_array(sp)
        if array is not None:
            room = (array.address, array.end)
            top = max(sp, array.end & ~7)
            return self._named(FoundStack(array.readable, pointer, top, array.address, room))
        return self._named(FoundStack(self._place(sp, pointer), pointer, sp, self._limit(sp)))

    def _named(self, stack: FoundStack) -> FoundStack:
        """Give the stack the name of the running task if it is that task's."""
        task = self._tasks.running(self._read) if stack.pointer == "PSP" else None
        if task is None or not (stack.room or (task.stack, stack.top))[0] <= task.stack < stack.top:
            return stack
        taken = any(known.name == task.name for known in self.stacks)
        name = f"{task.name} at {task.stack:#010x}" if taken else task.name
        limit = task.stack if stack.limit is None else stack.limit
        return FoundStack(name, stack.pointer, stack.top, limit, stack.room, stack.in_heap, place=stack.name)

    def _limit(self, sp: int) -> int | None:
        limit = self._firmware.limit_below(sp)
        if limit is None:
            return None
        return max([limit, *(stack.top for stack in self.stacks if limit < stack.top < sp)])

    def _place(self, sp: int, pointer: Pointer) -> str:
        variable = self._firmware.variable_at(sp - 1)
        if variable is not None:
            return f"{variable.readable}+{sp - variable.address:#x}"
        if pointer == "PSP" and all(stack.name != _PROCESS for stack in self.stacks):
            return _PROCESS
        return f"stack at {sp:#010x}"


def touched_bytes(
    firmware: Firmware, paint: StackPaint | None, ledger: HeapLedger, uses: Sequence[StackUse]
) -> int | str:
    """Return the first stack's touched bytes, or why other code may have written them; ``uses`` has the first stack."""
    limit, top = firmware.stack_limit, firmware.initial_sp
    if paint is None or limit is None:
        return "nothing tells which memory is the stack's"
    if not firmware.stack_is_reserved and (not ledger.follows or ledger.lay_in(limit, top)):
        return "the heap may lie in the memory below the stack"
    if any(limit < other.top <= top for other in uses[1:]):
        return "another stack lies in the memory below the stack"
    touched = top - paint.lowest
    if touched > uses[0].peak_bytes or (touched == top - limit and firmware.stack_array(top) is not None):
        return "something else wrote to the stack's memory, such as startup code that clears it"
    return touched
