"""The figures of a run, one row each: names, titles, unit, and whose reason a figure shares.

A run has a number for each figure, or ``NotMeasured`` with the reason. Every limit and report asks here for that
reason. To add a figure, add the field to ``emu.record`` and a row to ``FIGURES``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:  # pytest loads this module into every session, and emu.record imports pydantic
    from emu.record import Run

Unit = Literal["B", "instructions", "share", "error"]
NO_REASON = "the record does not say why"


@dataclass(frozen=True)
class NotMeasured:
    """Takes the place of a value that is not known."""

    reason: str


Value = float | NotMeasured


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One number about every run."""

    name: str
    """The field of the record that holds the value."""
    section: Literal["memory", "instructions", "parity"]
    """The section of the record with that field."""
    title: str
    unit: Unit
    column: str = ""
    """The heading of its column in a table of several runs; empty if such tables leave the figure out."""
    label: str = ""
    """Its title under a heading that names its section; empty if that is ``title`` too."""
    reason_of: str = ""
    """The figure or section whose reason explains this figure too."""
    sum_of: tuple[str, ...] = ()
    """The figures and sections that this figure adds up: without one of them, the sum was not measured."""
    reason: str = NO_REASON
    """Why there is no value, if the record has the section but no reason."""


@dataclass(frozen=True, kw_only=True)
class Budget(Figure):
    """A figure that can be limited and compared with a baseline."""

    short: str
    """Its name in markers, ``--fail-on-increase`` and baselines."""
    short_title: str
    """Its title in messages about limits and baselines."""
    meaning: str
    """What its marker limits, for ``pytest --markers``."""
    example: str
    """A limit, as a test writes it."""
    parts: str = ""
    """The heading of a list of its parts; empty if it has none (``emu.budgets.usage`` finds the parts)."""
    lists_every_part: bool = False
    """Whether a list has every part, or the largest parts only."""


FIGURES: tuple[Figure, ...] = (
    Budget(
        name="ram_peak_bytes",
        section="memory",
        title="RAM at its peak",
        unit="B",
        column="RAM",
        sum_of=("heap", "stacks"),
        short="ram",
        short_title="RAM peak",
        meaning="static RAM + all that the heap took + stack peak",
        example='"64 KB"',
        parts="what it consists of",
    ),
    Budget(
        name="stack_peak_bytes",
        section="memory",
        title="stack, reserved",
        unit="B",
        column="stack",
        label="stack (reserved)",
        short="stack",
        short_title="stack peak",
        meaning="reserved peak of the stack, of all stacks together",
        example='"2 KB"',
        parts="the stack at its peak, innermost frame first",
        lists_every_part=True,
    ),
    Figure(
        name="stack_touched_bytes",
        section="memory",
        title="stack, touched",
        unit="B",
        label="stack (touched)",
        reason_of="stack_peak_bytes",
    ),
    Budget(
        name="heap_peak_bytes",
        section="memory",
        title="heap at its peak",
        unit="B",
        column="heap",
        label="heap",
        reason_of="heap",
        short="heap",
        short_title="heap peak",
        meaning="peak of live bytes on the heap",
        example='"8 KB"',
        parts="allocated at the heap's peak",
    ),
    Budget(
        name="static_ram_bytes",
        section="memory",
        title="static RAM",
        unit="B",
        short="static_ram",
        short_title="static RAM",
        meaning="RAM that variables take",
        example='"16 KB"',
        parts="its largest variables",
    ),
    Budget(
        name="flash_bytes",
        section="memory",
        title="flash",
        unit="B",
        column="flash",
        short="flash",
        short_title="flash",
        meaning="flash that the firmware takes",
        example='"256 KB"',
        parts="its largest symbols",
    ),
    Figure(name="mailbox_bytes", section="memory", title="mailbox, only under test", unit="B", label="mailbox"),
    Budget(
        name="per_inference",
        section="instructions",
        title="instructions an inference, at most",
        unit="instructions",
        label="an inference, at most",
        column="instructions an inference",
        reason_of="instructions",
        short="instructions",
        short_title="instructions",
        meaning="instructions of the longest inference, or of the whole run if there is none",
        example="9_000_000",
        parts="the functions that ran most, on average of all inputs",
    ),
    Figure(
        name="total",
        section="instructions",
        title="instructions in all",
        unit="instructions",
        label="boot and all inputs",
        reason_of="instructions",
    ),
    Figure(
        name="argmax_agreement",
        section="parity",
        title="labels that agree with PyTorch",
        unit="share",
        column="labels",
        reason_of="parity",
    ),
    Figure(
        name="label_accuracy",
        section="parity",
        title="right about the true label",
        unit="share",
        reason_of="parity",
        reason="the inputs come without labels",
    ),
    Figure(
        name="mean_abs_error",
        section="parity",
        title="mean logit error",
        unit="error",
        column="mean error",
        reason_of="parity",
    ),
    Figure(name="max_abs_error", section="parity", title="largest logit error", unit="error", reason_of="parity"),
)
"""Every figure, in the order of reports."""

BUDGETS: Mapping[str, Budget] = {
    budget.short: budget
    for budget in sorted((row for row in FIGURES if isinstance(row, Budget)), key=lambda budget: budget.short)
}
"""The figures that can be limited, by their short names."""

SECTIONS: Mapping[str, str] = {
    "coverage": "",
    "heap": "heap_peak_bytes",
    "instructions": "total",
    "layers": "",
    "memory_check": "",
    "parity": "",
    "profile": "",
    "stacks": "stack_peak_bytes",
    "timeline": "",
}
"""The sections of the record that can be missing, each with the figure whose reason explains the section too."""

_BY_NAME = {figure.name: figure for figure in FIGURES}


@dataclass(frozen=True)
class Reading:
    """A figure of one run."""

    figure: Figure
    value: Value

    @property
    def text(self) -> str:
        """The value with its unit, or ``not measured``."""
        return "not measured" if isinstance(self.value, NotMeasured) else written(self.value, self.figure.unit)

    @property
    def reason(self) -> str:
        """Why there is no value; empty if there is one."""
        return self.value.reason if isinstance(self.value, NotMeasured) else ""


def readings(run: Run) -> list[Reading]:
    """Return every figure of a run, in the order of reports."""
    return [Reading(figure, _value(run, figure)) for figure in FIGURES]


def read(run: Run, name: str) -> Value:
    """Return one figure of a run by its name in the record; raises KeyError if no figure has that name."""
    return _value(run, _BY_NAME[name])


def missing(run: Run, name: str) -> NotMeasured | None:
    """Return the record's reason why a figure or a section was not measured, or None if the record gives none.

    Raises KeyError if ``name`` is neither a figure nor a section, so that no misspelt name loses a reason.
    """
    given = run.not_measured
    return next((NotMeasured(given[key]) for key in filter(None, _keys(name)) if key in given), None)


def why_not(run: Run, name: str) -> str:
    """Return why a figure or a section was not measured; raises KeyError if ``name`` is neither of them."""
    given = missing(run, name)
    return NO_REASON if given is None else given.reason


def rests_on(figure: Figure, name: str) -> bool:
    """Return whether a figure is the figure ``name``, or a sum with the figure ``name`` in it."""
    return name in (figure.name, *(key for part in figure.sum_of for key in _keys(part)))


def reasons(run: Run) -> dict[str, list[str]]:
    """Return each reason of a record, with the names that the record gives it for."""
    names: dict[str, list[str]] = {}
    for name, reason in run.not_measured.items():
        names.setdefault(reason, []).append(name)
    return names


def written(value: float, unit: Unit) -> str:
    """Return a value as people read it: ``1,234 B``, ``98.5%``, ``3.10e-07``."""
    match unit:
        case "B":
            return f"{value:,.0f} B"
        case "instructions":
            return f"{value:,.0f}"
        case "share":
            return f"{value:.2%}" if 0.9995 <= value < 1 else f"{value:.1%}"
        case "error":
            return f"{value:.2e}" if math.isfinite(value) else "infinite"


def _value(run: Run, figure: Figure) -> Value:
    section = getattr(run, figure.section)
    value = None if section is None else getattr(section, figure.name)
    missing_parts = [gap for gap in (missing(run, part) for part in figure.sum_of) if gap is not None]
    if value is not None:
        return missing_parts[0] if missing_parts else value
    return missing(run, figure.name) or NotMeasured(NO_REASON if section is None else figure.reason)


def _keys(name: str) -> list[str]:
    """Return the names under which a record may have the reason, the most precise one first."""
    if name in SECTIONS:
        return [name, SECTIONS[name]]
    figure = _BY_NAME[name]
    return [*(key for part in figure.sum_of for key in _keys(part)), name, figure.reason_of]
