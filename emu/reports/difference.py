"""The changes between two sets of figures, as text and as Markdown: absolute values next to the changes."""

from collections.abc import Iterable

from emu.budgets.comparison import Change, Comparison, PartChange
from emu.budgets.limits import amount
from emu.figures import BUDGETS
from emu.printable import printable

_MOST_PARTS = 5


def difference_as_text(comparison: Comparison) -> str:
    """Return the comparison as text for a terminal."""
    lines = []
    for run, changes in _by_run(comparison.changes):
        rows = [("", "", "base", "new", "change", "allowed"), *(_row(change) for change in changes)]
        widths = [max(len(row[column]) for row in rows) for column in range(6)]
        lines.append(printable(run))
        for row, change in zip(rows, [None, *changes], strict=True):
            cells = [f"{row[0]:<{widths[0]}}", f"{row[1]:<{widths[1]}}"]
            cells += [f"{cell:>{width}}" for cell, width in zip(row[2:], widths[2:], strict=True)]
            lines.append(f"  {'  '.join(cells)}".rstrip())
            if change is not None:
                lines += [f"       {line}" for line in grown_lines(change)]
        lines.append("")
    lines += [f"{printable(run)}: only in the new figures" for run in comparison.added]
    lines += [f"{printable(run)}: only in the base" for run in comparison.missing]
    grew = sum(not change.ok for change in comparison.changes)
    lines.append(f"{grew} of {len(comparison.changes)} figures grew more than they may")
    return "\n".join(lines) + "\n"


def difference_as_markdown(comparison: Comparison) -> str:
    """Return the comparison as a Markdown table, for a pull request or a step summary."""
    lines = ["| | run | figure | base | new | change | allowed |", "|---|---|---|--:|--:|--:|--:|"]
    for change in comparison.changes:
        mark, *cells = _row(change)
        lines.append(f"| {mark} | {_code(change.run)} | {' | '.join(cells)} |")
    lines += [f"| | {_code(run)} | only in the new figures | | | | |" for run in comparison.added]
    lines += [f"| | {_code(run)} | only in the base | | | | |" for run in comparison.missing]
    for change in comparison.changes:
        if not change.ok and change.grown:
            lines += ["", f"**{BUDGETS[change.figure].short_title}** of {_code(change.run)} grew in:", ""]
            lines += [f"- {_code(part.name)} {_part(change, part)}" for part in change.grown[:_MOST_PARTS]]
    return "\n".join(lines) + "\n"


def change_as_text(change: Change) -> str:
    """Return a sentence about a figure that grew, then a line for each part that made it grow."""
    _, title, before, after, by, allowed = _row(change)
    headline = f"{title} grew by {by.lstrip('+')}: {before} -> {after}, allowed increase: {allowed}"
    if change.after is None:
        headline = f"{title}: was {before}, and is not measured any more"
    return "\n".join([headline, *(f"  {line}" for line in grown_lines(change))])


def grown_lines(change: Change) -> list[str]:
    """Return a line for each part that made a figure grow; no line if the figure did not grow."""
    if change.increase is None or change.increase <= 0:
        return []
    shown = change.grown[:_MOST_PARTS]
    names = [printable(part.name) for part in shown]
    width = max(map(len, names), default=0)
    return [f"{name:<{width}}  {_part(change, part)}" for name, part in zip(names, shown, strict=True)]


def _row(change: Change) -> tuple[str, str, str, str, str, str]:
    return (
        "✗" if not change.ok else "✓" if change.allowance is not None else "",
        BUDGETS[change.figure].short_title,
        _value(change, change.before),
        _value(change, change.after),
        _increase(change),
        "any" if change.allowance is None else change.allowance.text,
    )


def _value(change: Change, value: int | None) -> str:
    return "not measured" if value is None else amount(change.figure, value)


def _increase(change: Change) -> str:
    if change.increase is None:
        return ""
    if change.increase == 0:
        return "="
    share = f" ({change.increase / change.before:+.1%})" if change.before else ""
    sign = "+" if change.increase > 0 else "-"
    return f"{sign}{amount(change.figure, abs(change.increase))}{share}"


def _part(change: Change, part: PartChange) -> str:
    after = amount(change.figure, part.after)
    if part.before is None:
        return f"{after}; not listed before: absent, or too small"
    by = amount(change.figure, part.increase)
    return f"{amount(change.figure, part.before)} -> {after} (+{by})"


def _by_run(changes: Iterable[Change]) -> list[tuple[str, list[Change]]]:
    runs: dict[str, list[Change]] = {}
    for change in changes:
        runs.setdefault(change.run, []).append(change)
    return list(runs.items())


def _code(name: str) -> str:
    return "`" + printable(name).replace("`", "'").replace("|", "\\|") + "`"
