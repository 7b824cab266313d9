"""Several runs of one model side by side: the same model on other targets, or another build of it."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from emu.figures import NotMeasured, Unit, Value, readings, written
from emu.record import Run


@dataclass(frozen=True)
class Cell:
    """One run's figure."""

    text: str
    delta: str
    """Against the first run; nothing where both are the same or one is not known."""
    reason: str = ""
    """Why there is no value."""


@dataclass(frozen=True)
class Row:
    """One figure of every run."""

    title: str
    cells: list[Cell]


@dataclass(frozen=True)
class Comparison:
    """All runs of a model, the first of them as the base."""

    model: str
    runs: list[tuple[int, Run]]
    """With their places among all runs."""
    rows: list[Row]
    frames: list[Row]
    """Functions in the backtraces of the stacks' peaks whose frames are not the same in all runs."""


def compare_runs(runs: Sequence[Run]) -> list[Comparison]:
    """Return a comparison for each model that was run several times."""
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
    """Return the bytes of each function's frames, all of a recursion's together."""
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
