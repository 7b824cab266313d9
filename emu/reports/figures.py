"""The figures of a run that every report lists, each with its name in the record or the reason why there is none."""

import math
from dataclasses import dataclass
from typing import Literal

from emu.record import Run

Unit = Literal["B", "instructions", "share", "error"]

_TITLES: dict[str, tuple[str, Unit]] = {
    "ram_peak_bytes": ("RAM at its peak", "B"),
    "stack_peak_bytes": ("stack, reserved", "B"),
    "stack_touched_bytes": ("stack, touched", "B"),
    "heap_peak_bytes": ("heap at its peak", "B"),
    "static_ram_bytes": ("static RAM", "B"),
    "flash_bytes": ("flash", "B"),
    "mailbox_bytes": ("mailbox, only under test", "B"),
    "per_inference": ("instructions an inference, at most", "instructions"),
    "total": ("instructions in all", "instructions"),
    "argmax_agreement": ("labels that agree with PyTorch", "share"),
    "label_accuracy": ("right about the true label", "share"),
    "mean_abs_error": ("mean logit error", "error"),
    "max_abs_error": ("largest logit error", "error"),
}
# Where a figure has no reason of its own, the reason of what it is a part of.
_PARTS = {"heap_peak_bytes": "heap", "stack_touched_bytes": "stack_peak_bytes", "total": "instructions"}
_OF_PARITY = ("argmax_agreement", "label_accuracy", "mean_abs_error", "max_abs_error")


@dataclass(frozen=True)
class Figure:
    """One number about a run."""

    name: str
    """In the record."""
    title: str
    unit: Unit
    value: float | None
    reason: str | None
    """Why there is no value."""

    @property
    def text(self) -> str:
        """The value with its unit, or that there is none."""
        return "not measured" if self.value is None else written(self.value, self.unit)


def written(value: float, unit: Unit) -> str:
    """Return a value as reports write it."""
    match unit:
        case "B":
            return f"{value:,.0f} B"
        case "instructions":
            return f"{value:,.0f}"
        case "share":
            return f"{value:.2%}" if 0.9995 <= value < 1 else f"{value:.1%}"
        case "error":
            return f"{value:.2e}" if math.isfinite(value) else "infinite"


def figures(run: Run) -> list[Figure]:
    """Return the figures of a run, all of them in every run, in the order of reports."""
    values: dict[str, float | None] = {**run.memory.model_dump(include=set(_TITLES)), **_instructions(run)}
    values |= run.parity.model_dump(include=set(_OF_PARITY)) if run.parity is not None else {}
    return [
        Figure(name, title, unit, values.get(name), _reason(run, name) if values.get(name) is None else None)
        for name, (title, unit) in _TITLES.items()
    ]


def _instructions(run: Run) -> dict[str, float | None]:
    return {"per_inference": run.instructions.per_inference, "total": run.instructions.total}


def _reason(run: Run, name: str) -> str | None:
    whole = "parity" if name in _OF_PARITY else _PARTS.get(name, name)
    if name == "label_accuracy" and run.parity is not None:
        return "the inputs come without labels"
    return run.not_measured.get(name) or run.not_measured.get(whole)
