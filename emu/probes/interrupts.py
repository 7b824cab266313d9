"""What interrupts add to the stacks: from what each thread and each handler used, and the priorities."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol

from emu.architectures.armv7em.exception_model import exception_name
from emu.architectures.armv7em.interrupts import Handler, Thread, main_stack, process_stack
from emu.record import HandlerUse, Stack, StackUse


class Context(Protocol):
    """A thread or a handler, as the probes note it (``struct context`` of an emulator's probe)."""

    entry: int
    lowest: int
    depth: int
    floats: int
    saved: int


def add_interrupts(
    uses: Sequence[StackUse],
    threads: Iterable[Context],
    handlers: Mapping[int, Context],
    priority_of: Callable[[int], int],
) -> Stack:
    """Return the stacks with what interrupts add to them.

    ``threads`` belong to ``uses``; ``handlers`` are those that ran, by the numbers of their exceptions.
    """
    known = [Thread(each.lowest, bool(each.floats), each.saved) for each in threads]
    ran = [
        Handler(number, priority_of(number), max(each.depth, each.entry - each.lowest), bool(each.floats))
        for number, each in handlers.items()
    ]
    ran.sort(key=lambda handler: (handler.priority, handler.number))
    stacks = []
    for use, thread in zip(uses, known, strict=True):
        lowest = process_stack(thread, known) if use.pointer == "PSP" else main_stack(thread, ran)
        computed = max(use.peak_bytes, use.top - lowest) if ran else None
        stacks.append(use.model_copy(update={"with_interrupts_bytes": computed}))
    return Stack(
        backtrace=stacks[0].backtrace,
        stacks=stacks,
        handlers=[
            HandlerUse(name=exception_name(each.number), priority=each.priority, stack_bytes=each.depth) for each in ran
        ],
    )
