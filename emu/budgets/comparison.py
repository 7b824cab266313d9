"""Comparison of two sets of figures: which grew, by how much, whether that is allowed, and who made them grow."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from emu.board_fields import parse_size
from emu.budgets.baseline import LISTED_PARTS, Baseline, BaselineFigure
from emu.errors import InputError
from emu.figures import BUDGETS


@dataclass(frozen=True)
class Allowance:
    """How much a figure may grow."""

    text: str
    """The user's words: ``0``, ``1%``, ``512 B``, ``2 KB``."""
    amount: int = 0
    percent: float = 0.0

    def holds(self, before: int, after: int) -> bool:
        """Return whether the figure may grow from ``before`` to ``after``."""
        return after <= before + self.amount + before * self.percent / 100


Gates = Mapping[str, Allowance]
"""How much each figure may grow, by its short name; a figure without an entry may grow freely."""

NO_INCREASE: Gates = {name: Allowance("0") for name in BUDGETS}


def parse_gates(text: str) -> Gates:
    """Return the gates that ``stack=0,flash=1%,instructions=2%`` sets; raises InputError for anything else."""
    gates = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, separator, allowed = (piece.strip() for piece in part.partition("="))
        if name not in BUDGETS or not separator:
            raise InputError(f'"{part}" of "{text}" is not FIGURE=INCREASE; the figures are {", ".join(BUDGETS)}')
        percent = re.fullmatch(r"(\d+(?:\.\d+)?)\s*%", allowed)
        try:
            gates[name] = Allowance(allowed, percent=float(percent[1])) if percent else _absolute(allowed)
        except ValueError:
            raise InputError(f'"{part}" of "{text}": an increase is a number, a size or a share: 0, 2 KB, 1%') from None
    if not gates:
        raise InputError(f'"{text}" names no figure: give for example stack=0,flash=1%,instructions=2%')
    return gates


def _absolute(text: str) -> Allowance:
    return Allowance(text, amount=parse_size(text))


@dataclass(frozen=True)
class PartChange:
    """A stack frame, function, variable or place of allocation that uses more or less than before."""

    name: str
    before: int | None
    """None if the part is new, or was too small to be listed."""
    after: int

    @property
    def increase(self) -> int:
        """How much more the part uses."""
        return self.after - (self.before or 0)


@dataclass(frozen=True)
class Change:
    """One figure of one run, before and after."""

    run: str
    figure: str
    before: int | None
    after: int | None
    allowance: Allowance | None
    """None if the figure may grow freely."""
    grown: tuple[PartChange, ...] = ()
    """The parts that use more than before, the largest increase first."""

    @property
    def increase(self) -> int | None:
        """How much the figure grew; None if it was not measured before or after."""
        return None if self.before is None or self.after is None else self.after - self.before

    @property
    def ok(self) -> bool:
        """Whether the change is allowed; it is not if the figure was measured before only."""
        if self.allowance is None or self.before is None:
            return True
        return self.after is not None and self.allowance.holds(self.before, self.after)


@dataclass(frozen=True)
class Comparison:
    """The changes from one set of figures to another."""

    changes: tuple[Change, ...]
    """Changes of the runs in both sets."""
    added: tuple[str, ...]
    """Runs in the newer set only."""
    missing: tuple[str, ...]
    """Runs in the older set only."""

    @property
    def ok(self) -> bool:
        """Whether every change is allowed."""
        return all(change.ok for change in self.changes)


def figures_of_both(before: Baseline, after: Baseline) -> tuple[Baseline, Baseline]:
    """Return both sets so that ``compare`` finds their runs.

    Two sets with one run each have it under one name. If one of the runs is firmware that has not run, both keep only
    the figures of that firmware.
    """
    if len(before.runs) != 1 or len(after.runs) != 1:
        return before, after
    ((old_name, old),), ((new_name, new),) = before.runs.items(), after.runs.items()
    name = old_name if old_name == new_name else f"{old_name} -> {new_name}"
    shared = old.keys() & new.keys()
    first, second = (
        Baseline(runs={name: {key: figure for key, figure in figures.items() if key in shared}})
        for figures in (old, new)
    )
    return first, second


def compare(before: Baseline, after: Baseline, gates: Gates) -> Comparison:
    """Compare the figures of the runs in both sets."""
    both = [key for key in after.runs if key in before.runs]
    return Comparison(
        changes=tuple(change for key in sorted(both) for change in _changes(key, before, after, gates)),
        added=tuple(sorted(after.runs.keys() - before.runs.keys())),
        missing=tuple(sorted(before.runs.keys() - after.runs.keys())),
    )


def _changes(key: str, before: Baseline, after: Baseline, gates: Gates) -> list[Change]:
    nothing = BaselineFigure(value=None)
    changes = []
    for name in (each for each in BUDGETS if each in before.runs[key] or each in after.runs[key]):
        old, new = before.runs[key].get(name, nothing), after.runs[key].get(name, nothing)
        changes.append(Change(key, name, old.value, new.value, gates.get(name), _grown(name, old.parts, new.parts)))
    return changes


def _grown(figure: str, old: Mapping[str, int], new: Mapping[str, int]) -> tuple[PartChange, ...]:
    # A part that was not listed before may have existed, but was no larger than the smallest listed one.
    cut = not BUDGETS[figure].lists_every_part and len(old) >= LISTED_PARTS
    unlisted = min(old.values()) if cut else 0
    parts = [PartChange(name, old.get(name), used) for name, used in new.items() if used > old.get(name, unlisted)]
    return tuple(sorted(parts, key=lambda part: (-part.increase, part.name)))
