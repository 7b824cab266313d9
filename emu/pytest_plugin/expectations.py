"""What a test expects of its runs: from its markers, the suite's settings, and the baseline."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path
from typing import TypeVar

import pytest

from emu.budgets.baseline import Baseline, run_key
from emu.budgets.comparison import compare
from emu.budgets.limits import describe_fault, out_of_parity, over_budget, parse_limit
from emu.budgets.usage import usages
from emu.errors import InputError
from emu.figures import BUDGETS, NotMeasured, rests_on, why_not
from emu.file_names import told_apart
from emu.pytest_plugin.options import LIMIT_MARKERS, MARKERS, NOT_LOOKED_FOR
from emu.pytest_plugin.session import baseline, baseline_path, project
from emu.record import Run
from emu.reports.difference import change_as_text
from emu.suppressions import Suppression, load_suppressions
from emu.verdicts import not_looked_for

_T = TypeVar("_T")


@dataclass(frozen=True)
class _Limit:
    figure: str
    value: int
    origin: str
    """The marker or the setting that set it."""


@dataclass(frozen=True)
class _Parity:
    atol: float | None = None
    argmax: bool = True

    def __post_init__(self) -> None:
        if self.atol is not None and not (isinstance(self.atol, int | float) and self.atol >= 0):
            raise ValueError(f"atol={self.atol!r}: needs a number of 0 or more, such as 1e-4")


@dataclass
class Expectations:
    """What one test expects of its runs, and the runs."""

    limits: list[_Limit] = field(default_factory=list)
    parity: _Parity | None = None
    memcheck: bool = False
    stack_peak: bool = False
    """Whether a limit or the baseline needs the stack's peak, which is also a part of RAM."""
    suppressions: tuple[Suppression, ...] = ()
    runs: list[Run] = field(default_factory=list)
    """The runs to judge."""


_EXPECTATIONS = pytest.StashKey[Expectations]()


def expect(item: pytest.Item) -> None:
    """Read what a test expects of its runs; an invalid marker fails the test."""
    try:
        item.stash[_EXPECTATIONS] = _read(item)
        return
    except (InputError, TypeError, ValueError) as error:
        mistake = str(error)
    pytest.fail(mistake, pytrace=False)  # outside the handler, or pytest would also print the handled error


def expectations(item: pytest.Item) -> Expectations:
    """Return what a test expects of its runs."""
    return item.stash[_EXPECTATIONS]


def judge(item: pytest.Item, *, ended: bool = True) -> str:
    """Record the figures of a test's runs for JUnit, and return what is wrong with them; empty if nothing is wrong.

    Only a test that ``ended`` normally must have made a run.
    """
    expected = expectations(item)
    complaints = []
    names = told_apart([(run.model, Path(run.firmware.path)) for run in expected.runs])
    for name, run in zip(names, expected.runs, strict=True):
        if Path(run.firmware.path).stem == run.model:  # a file of its own, and not a build in the cache
            run.model = name
        item.user_properties += _properties(run)
        if expected.memcheck and (unseen := not_looked_for(run)):
            told = "; ".join(f"{kind}: {why}" for kind, why in unseen.items())
            item.user_properties.append((f"{run_key(run)}{NOT_LOOKED_FOR}", told))
        wrong = list(_complaints(item.config, run, expected))
        if wrong:
            complaints.append("\n\n".join([f"{run.model} on {run.target}", *wrong]))
    unheard = sorted({mark.name for mark in item.own_markers if mark.name in MARKERS})
    if ended and unheard and not expected.runs:
        has = "has" if len(unheard) == 1 else "have"
        complaints.append(f"{' and '.join(unheard)} {has} no effect: this test never calls emu_run")
    return "\n\n".join(complaints)


def _read(item: pytest.Item) -> Expectations:
    expected, settings = Expectations(), project(item.config)
    for name, budget in LIMIT_MARKERS.items():
        text = item.config.getini(f"emu_{name}")
        if (limit := _marked(item, name, partial(parse_limit, budget.short))) is not None:
            expected.limits.append(_Limit(budget.short, limit, f"the marker {name}"))
        elif text:
            expected.limits.append(_Limit(budget.short, parse_limit(budget.short, text), f"the setting emu_{name}"))
        elif (limit := settings.limits.get(budget.short)) is not None:
            expected.limits.append(_Limit(budget.short, limit, f"limits.{budget.short} of {settings.file}"))
    limited = any(rests_on(BUDGETS[limit.figure], "stack_peak_bytes") for limit in expected.limits)
    expected.stack_peak = limited or baseline_path(item.config) is not None
    expected.parity = _marked(item, "parity", _Parity)
    suppressions = _marked(item, "no_memory_errors", lambda suppressions=None: _suppressions(item, suppressions))
    expected.memcheck, expected.suppressions = suppressions is not None, suppressions or ()
    return expected


def _marked(item: pytest.Item, name: str, read: Callable[..., _T]) -> _T | None:
    """Read the nearest marker ``name`` for the test's target, and return the result; None if there is no marker."""
    callspec = getattr(item, "callspec", None)
    target = str(callspec.params.get("emu_target", "")) if callspec is not None else ""
    for mark in item.iter_markers(name):
        options = dict(mark.kwargs)
        if not fnmatchcase(target, options.pop("target", "*")):
            continue
        try:
            return read(*mark.args, **options)
        except TypeError:
            raise TypeError(f"{name}: wrong arguments; `pytest --markers` shows the right ones") from None
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from error
    return None


def _suppressions(item: pytest.Item, file: Path | str | None) -> tuple[Suppression, ...]:
    path = project(item.config).suppressions if file is None else item.path.parent / file
    return () if path is None else tuple(load_suppressions(path))


def _complaints(config: pytest.Config, run: Run, expected: Expectations) -> Iterator[str]:
    yield from (f"{failure.part}: {failure.detail}" for failure in run.failures)
    yield from map(describe_fault, run.faults)
    used = usages(run)
    for limit in expected.limits if run.on_board else ():
        if complaint := over_budget(limit.figure, used[limit.figure], limit.value):
            yield f"{complaint}\n  set by {limit.origin}"
    if expected.parity is not None:
        parity = NotMeasured(why_not(run, "parity")) if run.parity is None else run.parity
        if complaint := out_of_parity(parity, expected.parity.atol, expected.parity.argmax):
            yield complaint
    if expected.memcheck:
        yield from _memory_errors(run)
    yield from _increases(config, run)


def _memory_errors(run: Run) -> Iterator[str]:
    if run.memory_check is None:
        yield f"memory errors: not looked for: {why_not(run, 'memory_check')}"
        return
    yield from map(describe_fault, run.memory_check.findings)
    if run.memory_check.findings:
        yield from (f"memory errors: not looked for: {kind}: {why}" for kind, why in not_looked_for(run).items())


def _increases(config: pytest.Config, run: Run) -> Iterator[str]:
    compared = baseline(config)
    if compared is None or not run.on_board:
        return
    base, gates = compared
    key, path = run_key(run), baseline_path(config)
    if key not in base.runs:
        yield f"{key} is not in {path}: add it with --emu-update-baseline"
        return
    grown = [change for change in compare(base, Baseline.of([run]), gates).changes if not change.ok]
    for change in grown:
        yield f"{change_as_text(change)}\n  over {path}; accept it with --emu-update-baseline"


def _properties(run: Run) -> Iterator[tuple[str, object]]:
    for name, usage in usages(run).items():
        value = f"not measured: {usage.value.reason}" if isinstance(usage.value, NotMeasured) else usage.value
        yield f"{run_key(run)}.{name}", value
    if run.parity is not None:
        yield f"{run_key(run)}.max_abs_error", run.parity.max_abs_error
        yield f"{run_key(run)}.argmax_agreement", run.parity.argmax_agreement
