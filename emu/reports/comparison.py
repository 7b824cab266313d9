"""Several runs of one model side by side: on several targets, or of several builds."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from emu.figures import NotMeasured, Unit, Value, readings, written
from emu.record import Run


@dataclass(frozen=True)
class Cell:
    """A figure of one run."""

    text: str
    delta: str
    """The difference from the first run; empty if there is none, or if a value is not known."""
    reason: str = ""
    """Why there is no value; empty if there is one."""


@dataclass(frozen=True)
class Row:
    """A figure of every run."""

    title: str
    cells: list[Cell]


@dataclass(frozen=True)
class Comparison:
    """All runs of a model; the first run is the base."""

    model: str
    runs: list[tuple[int, Run]]
    """Each run with its place among all runs of the report."""
    rows: list[Row]
    frames: list[Row]
    """The functions whose frames differ at the stack's peak."""


def compare_runs(runs: Sequence[Run]) -> list[Comparison]:
    """Return a comparison for each model that ran several times."""
    of_model: dict[str, list[tuple[int, Run]]] = {}
    for index, run in enumerate(runs):
        of_model.setdefault(run.model, []).append((index, run))
    return [
        Comparison(model, several, [*_rows([run for _, run in several])], [*_frames([run for _, run in several])])
        for model, several in of_model.items()
        if len(several) > 1
    ]


def _rows(runs: Sequence[Run]) -> Iterator[Row]:
    for several in zip(*map(readings, runs), strict=True):
        base = several[0]
        if not all(isinstance(reading.value, NotMeasured) for reading in several):
            cells = [
                Cell(reading.text, _delta(reading.value, base.value, base.figure.unit), reading.reason)
                for reading in several
            ]
            yield Row(base.figure.title, cells)


def _frames(runs: Sequence[Run]) -> Iterator[Row]:
    of_run = [_frame_bytes(run) for run in runs]
    for function in dict.fromkeys(name for frames in of_run for name in frames):
        sizes = [frames.get(function) for frames in of_run]
        if len(set(sizes)) > 1:
            cells = [
                Cell("—" if size is None else written(size, "B"), _delta(size or 0, sizes[0] or 0, "B"))
                for size in sizes
            ]
            yield Row(function, cells)


def _frame_bytes(run: Run) -> dict[str, int]:
    """Return the bytes of each function's frames; the frames of a recursion are added up."""
    sizes: dict[str, int] = {}
    for frame in run.stack.backtrace:
        if frame.function is not None and frame.frame_bytes is not None:
            sizes[frame.function] = sizes.get(frame.function, 0) + frame.frame_bytes
    return sizes


def _delta(value: Value, base: Value, unit: Unit) -> str:
    if isinstance(value, NotMeasured) or isinstance(base, NotMeasured):
        return ""
    if value == base or not math.isfinite(value - base):
        return ""
    sign, change = "+" if value > base else "-", abs(value - base)
    if unit == "share":
        return f"{sign}{100 * change:.2f} points"
    relative = change / base if base and unit != "error" else 0.0
    share = f" ({sign}{relative:{'.0%' if relative >= 0.1 else '.2%'}})" if relative else ""
    return f"{sign}{written(change, unit)}{share}"
