"""How deep the stacks become if interrupts come at the deepest moments, from what each thread and each handler used.

The frames that the core pushes are those of DDI 0403E, B1.5.6. A handler is preempted only by exceptions of a higher
group priority, whose number is lower (B1.5.4).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

_BASIC_FRAME, _EXTENDED_FRAME = 32, 104
_IMPLEMENTED = 0xF0
"""The bits of a priority that the chips have; QEMU's core has all eight."""
_FIXED = {2: -2, 3: -1}
"""Priorities of NMI and HardFault."""


@dataclass(frozen=True)
class Thread:
    """A thread with its stack."""

    lowest: int
    """The lowest SP of its own instructions."""
    floats: bool
    """Whether it has used the FPU when an exception came, so that frames are larger."""
    saved: int = 0
    """The most bytes that a handler has saved below an exception's frame, when it gave the core to another thread."""


@dataclass(frozen=True)
class Handler:
    """The handler of an exception, as it ran."""

    number: int
    priority: int
    """Its group priority: exceptions of lower numbers preempt it."""
    depth: int
    """The most bytes of its own calls."""
    floats: bool


def group_priority(number: int, priority: int, priority_group: int) -> int:
    """Return the part of a priority that decides on preemption (B1.5.4); ``priority_group`` is AIRCR.PRIGROUP."""
    return _FIXED.get(number, (priority & _IMPLEMENTED) >> (priority_group + 1))


def process_stack(thread: Thread, threads: Iterable[Thread]) -> int:
    """Return the lowest address in use on a process stack if an exception comes when the thread is deepest.

    The exception may be the one in which the kernel saves the thread's registers. How many bytes it saves is taken from
    all ``threads`` that use the FPU, or do not, as this one.
    """
    saved = max((each.saved for each in threads if each.floats == thread.floats), default=0)
    return _frame_below(thread.lowest, floats=thread.floats) - saved


def main_stack(thread: Thread, handlers: Sequence[Handler]) -> int:
    """Return the lowest address in use on the main stack if handlers preempt each other when all are deepest.

    The first one comes when the thread on the main stack is deepest. One handler of each priority takes part.
    """
    lowest, floats = thread.lowest, thread.floats
    for priority in sorted({handler.priority for handler in handlers}, reverse=True):
        deepest = max(
            (each for each in handlers if each.priority == priority), key=lambda each: (each.depth, each.floats)
        )
        lowest = _frame_below(lowest, floats=floats) - deepest.depth
        floats = deepest.floats
    return lowest


def _frame_below(sp: int, *, floats: bool) -> int:
    return (sp - (_EXTENDED_FRAME if floats else _BASIC_FRAME)) & ~7
