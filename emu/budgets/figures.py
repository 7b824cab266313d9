"""The figures of a run that can be limited, and who made each of them: read from its record alone."""

from dataclasses import dataclass

from emu.record import Frame, Run, SymbolUse
from emu.reports.wording import place

_NEAREST_CALLERS = 4


@dataclass(frozen=True)
class Kind:
    """How a figure is spoken of."""

    title: str
    parts: str
    """What its parts are."""
    unit: str = " B"


KINDS = {
    "flash": Kind("flash", "its largest symbols"),
    "heap": Kind("heap peak", "allocated at the heap's peak"),
    "instructions": Kind("instructions", "the functions that ran most, on average of all inputs", unit=""),
    "ram": Kind("RAM peak", "what it consists of"),
    "stack": Kind("stack peak", "the stack at its peak, innermost frame first"),
    "static_ram": Kind("static RAM", "its largest variables"),
}
"""Every figure, by the name that limits, baselines and ``--fail-on-increase`` use."""


@dataclass(frozen=True)
class Part:
    """Who used a share of a figure: a stack frame, the allocations of a call, a function, a variable."""

    name: str
    amount: int | None
    """None for a frame without unwind information."""
    detail: str = ""
    """Where it is in the source, and who called it."""


@dataclass(frozen=True)
class Figure:
    """One figure of a run."""

    value: int | None
    parts: tuple[Part, ...] = ()
    """Of the stack in the order of its frames, of all others the largest first."""
    why_not: str = ""
    """Why ``value`` is None."""


def figures(run: Run) -> dict[str, Figure]:
    """Return the figures of a run by the names of ``KINDS``.

    ``stack`` adds up the peaks of all stacks that the firmware was on, and ``ram`` is ``ram_peak_bytes`` of the record.
    ``instructions`` are those of the longest inference, or of the whole run where the firmware was given no input.
    """
    memory = run.memory
    return {
        "flash": Figure(memory.flash_bytes, _symbols(memory.flash_symbols), _why_not(run, "flash_bytes")),
        "heap": _heap(run),
        "instructions": _instructions(run),
        "ram": _ram(run),
        "stack": _stack(run),
        "static_ram": Figure(
            memory.static_ram_bytes, _symbols(memory.static_ram_symbols), _why_not(run, "static_ram_bytes")
        ),
    }


def _symbols(uses: list[SymbolUse]) -> tuple[Part, ...]:
    return tuple(Part(use.name, use.bytes) for use in uses)


def _heap(run: Run) -> Figure:
    parts = (
        Part(group.function or f"{group.call_site:#010x}", group.bytes, place(group) + _callers(group.backtrace))
        for group in run.heap.peak
    )
    return Figure(run.memory.heap_peak_bytes, tuple(parts), _why_not(run, "heap_peak_bytes", "heap"))


def _stack(run: Run) -> Figure:
    value, parts = run.memory.stack_peak_bytes, _frames(run.stack.backtrace)
    for stack in run.stack.stacks[1:]:
        value = None if value is None else value + stack.peak_bytes
        parts += _frames(stack.backtrace, f"on {stack.name}, ")
    if "stacks" in run.not_measured:  # there are more than were followed
        value = None
    return Figure(value, parts, _why_not(run, "stacks", "stack_peak_bytes"))


def _ram(run: Run) -> Figure:
    memory = run.memory
    live, taken = run.heap.peak_beside_static_bytes, run.heap.taken_beside_static_bytes
    heap = _as_parts_of_ram("heap", live, _heap(run))
    if live is not None and taken is not None:  # older records lack the latter
        heap.append(Part("(heap: headers, rounding, and what lay free)", taken - live))
    stack = _as_parts_of_ram(
        "stack", memory.stack_peak_bytes, Figure(memory.stack_peak_bytes, _frames(run.stack.backtrace))
    )
    uses = [*heap, *stack, *_symbols(memory.static_ram_symbols)]
    parts = sorted((use for use in uses if use.amount), key=lambda use: -(use.amount or 0))
    reason = _why_not(run, "heap_peak_bytes", "heap", "stacks", "stack_peak_bytes", "ram_peak_bytes")
    return Figure(memory.ram_peak_bytes, tuple(parts), reason)


def _as_parts_of_ram(name: str, share: int | None, figure: Figure) -> list[Part]:
    """Return who made a share of the RAM, where they are known and it is all of theirs; else the share alone."""
    amounts = [part.amount for part in figure.parts]
    if share != figure.value or None in amounts or sum(filter(None, amounts)) != share:
        return [Part(f"({name})", share)]
    return [Part(f"{part.name} ({name})", part.amount, part.detail) for part in figure.parts]


def _instructions(run: Run) -> Figure:
    counts = run.instructions
    answers_inputs = counts.inferences is not None or counts.per_inference is not None  # older records lack the former
    value = counts.per_inference if answers_inputs else counts.total
    parts = (Part(name, count // (counts.inferences or 1)) for name, count in counts.by_function.items())
    return Figure(value, tuple(parts), _why_not(run, "per_inference", "total"))


def _frames(backtrace: list[Frame], stack: str = "") -> tuple[Part, ...]:
    return tuple(
        Part(
            frame.function or f"{frame.pc:#010x}",
            frame.frame_bytes,
            stack + place(frame) + ("" if frame.frame_bytes is not None else " (no unwind information)"),
        )
        for frame in backtrace
    )


def _callers(backtrace: list[Frame]) -> str:
    names = [frame.function or f"{frame.pc:#010x}" for frame in backtrace[1 : 1 + _NEAREST_CALLERS]]
    return "".join(f" < {name}" for name in names) + " < ..." * (len(backtrace) > 1 + _NEAREST_CALLERS)


def _why_not(run: Run, *names: str) -> str:
    return next((run.not_measured[name] for name in names if name in run.not_measured), "the record does not say why")
