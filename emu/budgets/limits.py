"""Limits on a run's figures. A message about a limit gives the use, the difference, and who used most."""

from collections.abc import Iterable

from emu.board_fields import parse_size
from emu.budgets.usage import Part, Usage, usages
from emu.figures import BUDGETS, NotMeasured, written
from emu.printable import printable
from emu.record import Fault, Frame, Location, Parity, Run, Verdict
from emu.tolerance import DEFAULT_TOLERANCE
from emu.wording import counted, frame_note, function_of, kind, place, without_numbers, worst_input

_MOST_PARTS = 8


def parse_limit(name: str, text: object) -> int:
    """Return the limit on the budget ``name`` that ``"2 KB"`` or a plain number sets.

    Raises ValueError for anything else.
    """
    if BUDGETS[name].unit == "B":
        return parse_size(text)
    try:
        return int(str(text))
    except ValueError:
        raise ValueError(f'"{text}" is not a number of {name}') from None


def amount(name: str, value: int) -> str:
    """Return an amount of the budget ``name`` as people read it, such as ``1,234 B``."""
    return written(value, BUDGETS[name].unit)


def over_budget(name: str, usage: Usage, limit: int) -> str | None:
    """Return what is wrong if the ``usage`` of the budget ``name`` exceeds ``limit`` or is not known; else None."""
    title = BUDGETS[name].short_title
    if isinstance(usage.value, NotMeasured):
        return f"{title}: not measured, so the limit {amount(name, limit)} fails: {usage.value.reason}"
    if usage.value <= limit:
        return None
    headline = (
        f"{title}: {amount(name, usage.value)}, limit {amount(name, limit)}: "
        f"{amount(name, usage.value - limit)} too {'much' if BUDGETS[name].unit == 'B' else 'many'}"
    )
    return "\n".join([headline, *users(name, usage)])


def judge_limits(run: Run, limits: Iterable[tuple[str, int]]) -> list[Verdict]:
    """Return a verdict for each limit on a figure of ``run``, given by the figure's short name; none off a board."""
    used = usages(run) if run.on_board else {}
    verdicts = []
    for name, limit in limits if run.on_board else ():
        value = used[name].value
        known = not isinstance(value, NotMeasured)
        text = amount(name, value) if known else "not measured"
        name_of_verdict = f"{BUDGETS[name].short_title} within its limit"
        verdicts.append(
            Verdict(name=name_of_verdict, ok=known and value <= limit, value=text, limit=amount(name, limit))
        )
    return verdicts


def users(name: str, usage: Usage) -> list[str]:
    """Return lines that list who used the budget ``name``; no line if nobody is known."""
    if not usage.parts:
        return []
    shown = usage.parts if BUDGETS[name].lists_every_part else usage.parts[:_MOST_PARTS]
    return [f"  {BUDGETS[name].parts}:", *_columns(name, shown)]


def _columns(name: str, parts: Iterable[Part]) -> list[str]:
    rows = [
        ("?" if part.amount is None else amount(name, part.amount), printable(part.name), printable(part.detail))
        for part in parts
    ]
    widths = [max(len(row[column]) for row in rows) for column in (0, 1)]
    return [f"    {size:>{widths[0]}}  {who:<{widths[1]}}  {detail}".rstrip() for size, who, detail in rows]


def out_of_parity(parity: Parity | NotMeasured, atol: float | None, argmax: bool) -> str | None:
    """Return what is wrong if outputs differ from the reference by more than ``atol``, or in a class; else None.

    Classes count only with ``argmax``. Without ``atol`` the limit is that of every run, ``DEFAULT_TOLERANCE``.
    """
    if isinstance(parity, NotMeasured):
        return f"parity: not measured: {parity.reason}"
    worst = parity.worst_input
    wrong = 0 if parity.agreeing is None else parity.compared - parity.agreeing
    complaints = []
    if argmax and wrong:
        total = counted(parity.compared, parity.unit)
        complaints.append(f"parity: {wrong} of {total} have another class than {parity.reference}'s")
    if lines := without_numbers(parity):
        complaints += [f"parity: {line}" for line in lines]
    elif atol is not None and not parity.max_abs_error <= atol:
        complaints.append(f"parity: largest logit error {parity.max_abs_error:.2e}, limit {atol:.2e}")
    elif atol is None and not parity.relative_mean_error <= DEFAULT_TOLERANCE:
        complaints.append(
            f"parity: mean logit error {parity.relative_mean_error:.1e} of the largest logit, "
            f"limit {DEFAULT_TOLERANCE:.0e}"
        )
    if not complaints:
        return None
    return "\n".join(
        [
            *complaints,
            f"  worst input: {worst_input(parity)}",
            f"  which layer diverges first: emu run MODEL --trace-layers --trace-input {worst.index}",
        ]
    )


def describe_fault(fault: Fault) -> str:
    """Return a fault or a memory error in words, with its backtrace."""
    lines = [f"{kind(fault.kind)}: {printable(fault.detail)}"]
    if fault.function or fault.file:
        task = f", in the task {printable(fault.task)}" if fault.task is not None else ""
        lines.append(f"  in {_where(fault)}{task}")
    return "\n".join([*lines, *map(_caller, fault.backtrace[1:])])


def _caller(frame: Frame) -> str:
    how = _where(frame) if frame.interrupted_by else f"called by {_where(frame)}"
    return f"    {how} {printable(frame_note(frame))}".rstrip()


def _where(location: Location) -> str:
    name = function_of(location) if isinstance(location, Frame) else location.function or "?"
    return printable(f"{name} {place(location)}".rstrip())
