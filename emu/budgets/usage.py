"""How much of each budget a run used, and who used it, from the run's record alone."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from emu.figures import BUDGETS, NotMeasured, Value, missing, read
from emu.record import Frame, Run, SymbolUse
from emu.wording import call_path, frame_note, function_of, place


@dataclass(frozen=True)
class Part:
    """Who used a share of a budget: a stack frame, the allocations of a call, a function, a variable."""

    name: str
    amount: int | None
    """None for a frame without unwind information."""
    detail: str = ""
    """The place in the source, and the callers."""


@dataclass(frozen=True)
class Usage:
    """How much of one budget a run used."""

    value: int | NotMeasured
    parts: tuple[Part, ...] = ()
    """The largest first; for the stack, its frames in their order."""


def usages(run: Run) -> dict[str, Usage]:
    """Return what a run used of each budget, by the names of ``BUDGETS``.

    ``stack`` adds up the peaks of all stacks that the firmware used. ``instructions`` counts the longest inference, or
    the whole run if the firmware was given no input.
    """
    return {name: _usage(run, name) for name in BUDGETS}


def _usage(run: Run, name: str) -> Usage:
    value = _SUMS[name](run) if name in _SUMS else read(run, BUDGETS[name].name)
    parts = _PARTS[name](run) if name in _PARTS else ()
    return Usage(value if isinstance(value, NotMeasured) else int(value), parts)


# ---- values of more than one figure ---------------------------------------------------------------------------------


def _all_stacks(run: Run) -> Value:
    main = missing(run, "stacks") or read(run, "stack_peak_bytes")
    return main if isinstance(main, NotMeasured) else main + sum(stack.peak_bytes for stack in run.other_stacks)


def _longest_inference(run: Run) -> Value:
    counts = run.instructions
    answers_inputs = counts.inferences is not None or counts.per_inference is not None  # older records lack the former
    return read(run, "per_inference" if answers_inputs else "total")


_SUMS: Mapping[str, Callable[[Run], Value]] = {"instructions": _longest_inference, "stack": _all_stacks}


# ---- parts -----------------------------------------------------------------------------------------------------------


def _symbols(uses: list[SymbolUse]) -> tuple[Part, ...]:
    return tuple(Part(use.name, use.bytes) for use in uses)


def _heap(run: Run) -> tuple[Part, ...]:
    return tuple(
        Part(
            group.function or f"{group.call_site:#010x}",
            group.bytes,
            place(group) + "".join(f" < {name}" for name in call_path(group.backtrace)[1:]),
        )
        for group in run.heap.peak
    )


def _stacks(run: Run) -> tuple[Part, ...]:
    parts = _frames(run.stack.backtrace)
    for stack in run.other_stacks:
        parts += _frames(stack.backtrace, f"on {stack.name}, ")
    return parts


def _frames(backtrace: list[Frame], stack: str = "") -> tuple[Part, ...]:
    return tuple(
        Part(
            function_of(frame),
            frame.frame_bytes,
            f"{stack}{place(frame)} {frame_note(frame)}".rstrip(),
        )
        for frame in backtrace
    )


def _ram(run: Run) -> tuple[Part, ...]:
    memory = run.memory
    live, taken = run.heap.peak_beside_static_bytes, run.heap.taken_beside_static_bytes
    heap = _as_parts_of_ram("heap", live, memory.heap_peak_bytes, _heap(run))
    if live is not None and taken is not None:  # older records lack the latter
        heap.append(Part("(heap: headers, rounding, and what lay free)", taken - live))
    frames = _frames(run.stack.backtrace)
    stack = _as_parts_of_ram("stack", memory.stack_peak_bytes, memory.stack_peak_bytes, frames)
    uses = [*heap, *stack, *_symbols(memory.static_ram_symbols)]
    return tuple(sorted((use for use in uses if use.amount), key=lambda use: -(use.amount or 0)))


def _as_parts_of_ram(name: str, share: int | None, whole: int | None, parts: tuple[Part, ...]) -> list[Part]:
    """Return the parts of a share of the RAM if they are known and add up to the share; else the share alone."""
    amounts = [part.amount for part in parts]
    if share != whole or None in amounts or sum(filter(None, amounts)) != share:
        return [Part(f"({name})", share)]
    return [Part(f"{part.name} ({name})", part.amount, part.detail) for part in parts]


def _functions(run: Run) -> tuple[Part, ...]:
    counts = run.instructions
    return tuple(Part(name, count // (counts.inferences or 1)) for name, count in counts.by_function.items())


_PARTS: Mapping[str, Callable[[Run], tuple[Part, ...]]] = {
    "flash": lambda run: _symbols(run.memory.flash_symbols),
    "heap": _heap,
    "instructions": _functions,
    "ram": _ram,
    "stack": _stacks,
    "static_ram": lambda run: _symbols(run.memory.static_ram_symbols),
}
