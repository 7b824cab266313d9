"""Runs as GitHub-flavoured Markdown, short enough for a step summary, with the worst first."""

import html
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain

from emu.figures import FIGURES, NotMeasured, Reading, readings, reasons
from emu.printable import printable
from emu.record import Frame, Run
from emu.reports.evidence import disagreements, finding_notes, refusal_note, where, worst_inputs
from emu.sizes import groups
from emu.wording import (
    call_path,
    counted,
    frame_note,
    function_of,
    interrupts_note,
    kind,
    layer_error,
    margin,
    place,
    title,
    without_numbers,
)

MOST_BYTES = 60_000
_LONGEST_TEXT = 160
_MOST_OF_A_KIND = 10
_MOST_FRAMES = 12
_OF_PARITY = ("labels agree with PyTorch", "mean logit error")


def render_markdown(runs: Sequence[Run]) -> str:
    """Return at most ``MOST_BYTES`` of Markdown; parts that do not fit are left out and counted."""
    ordered = sorted(runs, key=lambda run: run.ok)
    blocks = chain(
        [_headline(runs), *_verdicts(ordered), _figures(runs)],
        *([f"### {_text(title(run))}", *_evidence(run)] for run in ordered if not run.ok),
        *(_details(run) for run in ordered),
    )
    return _joined(list(blocks))


def _joined(blocks: list[str]) -> str:
    kept: list[str] = []
    room = MOST_BYTES - 200
    for block in blocks:
        room -= len(block.encode()) + 2
        if room < 0:
            left = counted(len(blocks) - len(kept), "part")
            kept.append(f"_{left} of this report left out: it has to stay short. The HTML report has everything._")
            break
        kept.append(block)
    return "\n\n".join(kept) + "\n"


def _headline(runs: Sequence[Run]) -> str:
    verdicts = [verdict for run in runs for verdict in run.verdicts]
    failed = sum(not verdict.ok for verdict in verdicts)
    number = counted(len(verdicts), "verdict")
    if not verdicts:
        return "## Nothing was judged"
    return f"## ❌ {failed} of {number} failed" if failed else f"## ✅ {number}, all hold"


def _verdicts(runs: Sequence[Run]) -> Iterator[str]:
    rows = [
        (title(run), verdict.name, verdict.value, verdict.limit, margin(verdict))
        for run in runs
        for verdict in run.verdicts
        if not verdict.ok
    ]
    if rows:
        shown = [("❌", *row) for row in rows[: 4 * _MOST_OF_A_KIND]]
        table = _table(["", "run", "verdict", "value", "limit", "by"], shown, right=(3, 4, 5))
        yield table + _and_more(len(rows), 4 * _MOST_OF_A_KIND)
        return
    shown = [
        ("✅", title(run), verdict.name, verdict.value, verdict.limit, margin(verdict))
        for run in runs[:_MOST_OF_A_KIND]
        for verdict in run.verdicts
    ]
    if shown:
        table = _table(["", "run", "verdict", "value", "limit", ""], shown, right=(3, 4, 5))
        yield table + _and_more(len(runs), _MOST_OF_A_KIND)


def _figures(runs: Sequence[Run]) -> str:
    rows = []
    for run in runs[: 4 * _MOST_OF_A_KIND]:
        cells = (_cell(reading) for reading in readings(run) if reading.figure.column)
        rows.append(("✅" if run.ok else "❌", title(run), *cells))
    columns = [figure.column for figure in FIGURES if figure.column]
    table = _table(["", "run", *columns], rows, right=range(2, 2 + len(columns)))
    return table + _and_more(len(runs), 4 * _MOST_OF_A_KIND)


def _cell(reading: Reading) -> str:
    return "—" if isinstance(reading.value, NotMeasured) else reading.text


def _evidence(run: Run) -> Iterator[str]:
    for fault in run.faults[:_MOST_OF_A_KIND]:
        notes = [where(fault)]
        yield _item(kind(fault.kind), fault.detail, notes) + _frames(fault.backtrace)
    yield from _more(len(run.faults))
    if run.memory_check is not None:
        for finding in run.memory_check.findings[:_MOST_OF_A_KIND]:
            notes = [where(finding), *finding_notes(finding)]
            yield _item(kind(finding.kind), finding.detail, notes) + _frames(finding.backtrace)
        yield from _more(len(run.memory_check.findings))
    if run.parity is not None:
        lines = without_numbers(run.parity) + disagreements(run.parity) + worst_inputs(run.parity)
        if not all(verdict.ok for verdict in run.verdicts if verdict.name in _OF_PARITY):
            yield "\n".join(f"- {_text(line)}" for line in lines[:_MOST_OF_A_KIND])
            yield from _more(len(lines))
    for layer in [layer for layer in run.layers or [] if layer.diverged][:1]:
        yield f"The first tensor to diverge is **{_text(layer.tensor)}**: {layer_error(layer)}."


def _item(name: str, detail: str, notes: Iterable[str]) -> str:
    return "\n".join([f"**{_text(name)}**: {_text(detail)}", *(f"<br>{_text(note)}" for note in notes if note)])


def _details(run: Run) -> Iterator[str]:
    parts = [_frames(run.stack.backtrace).strip()] if run.stack.backtrace else []
    if run.other_stacks:
        rows = [
            (
                stack.name,
                f"{stack.peak_bytes:,} B",
                "?" if stack.limit_bytes is None else f"{stack.limit_bytes:,} B",
                interrupts_note(stack),
            )
            for stack in run.stack.stacks[: 4 * _MOST_OF_A_KIND]
        ]
        table = _table(["stack", "peak", "of", ""], rows, right=(1, 2))
        parts.append(f"Every stack\n\n{table}{_and_more(len(run.stack.stacks), 4 * _MOST_OF_A_KIND)}")
    if run.heap.leaks:
        leaked = sum(group.bytes for group in run.heap.leaks)
        rows = [
            (f"{group.bytes:,} B", counted(group.allocations, "block"), group.function or "?", place(group))
            for group in run.heap.leaks[:_MOST_OF_A_KIND]
        ]
        table = _table(["never freed", "in", "allocated by", "at"], rows, right=(0,))
        parts.append(f"Never freed: {leaked:,} B\n\n{table}{_and_more(len(run.heap.leaks), _MOST_OF_A_KIND)}")
    if run.heap.failed:
        rows = [
            (
                f"{failed.largest_bytes:,} B",
                counted(failed.failures, "time"),
                " < ".join(call_path(failed.backtrace)),
                place(failed),
                refusal_note(failed),
            )
            for failed in run.heap.failed[:_MOST_OF_A_KIND]
        ]
        table = _table(["refused", "", "to", "at", "when there were"], rows, right=(0,))
        parts.append(f"Refused by the allocator\n\n{table}{_and_more(len(run.heap.failed), _MOST_OF_A_KIND)}")
    elif run.heap.failed_allocations:
        parts.append(f"Refused by the allocator: {counted(run.heap.failed_allocations, 'call')}")
    if run.memory.layout:
        rows = [
            (region, row.name, f"{row.bytes:,} B")
            for region in dict.fromkeys(piece.region for piece in run.memory.layout)
            for row in [row for row in groups(run.memory.layout, "symbol") if row.region == region][:_MOST_OF_A_KIND]
        ]
        parts.append("The most in each memory\n\n" + _table(["memory", "symbol", "bytes"], rows, right=(2,)))
    if run.not_checked:
        parts.append("Not checked:\n\n" + "\n".join(_text(f"- {line}", 300) for line in run.not_checked))
    if run.changed:
        parts.append("Changed in the emulator:\n\n" + "\n".join(_text(f"- {line}", 600) for line in run.changed))
    if run.not_measured:
        lines = (f"- {', '.join(names)}: {why}" for why, names in reasons(run).items())
        parts.append("Not measured:\n\n" + "\n".join(_text(line, 300) for line in lines))
    firmware = f"firmware {run.firmware.sha256[:12]}, {run.firmware.toolchain or 'toolchain not known'}"
    versions = ", ".join(f"{name} {version}" for name, version in run.environment.items())
    parts.append(_text(f"{firmware}; {versions}", 300))
    # Markdown inside a line of an HTML block would not be rendered.
    name = html.escape(printable(title(run), _LONGEST_TEXT))
    summary = f"<summary>{name}: the stack at its peak, what was not measured, versions</summary>"
    yield "\n\n".join([f"<details{'' if run.ok else ' open'}>{summary}", *parts, "</details>"])


def _frames(frames: Sequence[Frame]) -> str:
    if not frames:
        return ""
    rows = [
        (
            "?" if frame.frame_bytes is None else f"{frame.frame_bytes:,} B",
            function_of(frame),
            f"{place(frame)} {frame_note(frame)}".rstrip(),
        )
        for frame in frames[:_MOST_FRAMES]
    ]
    return "\n\n" + _table(["frame", "function", "at"], rows, right=(0,)) + _and_more(len(frames), _MOST_FRAMES)


def _more(number: int) -> Iterator[str]:
    if number > _MOST_OF_A_KIND:
        yield f"…and {number - _MOST_OF_A_KIND:,} more."


def _and_more(number: int, most: int) -> str:
    return f"\n\n…and {number - most:,} more." if number > most else ""


def _table(headings: Sequence[str], rows: Iterable[Sequence[str]], right: Iterable[int]) -> str:
    ruler = ["---:" if column in [*right] else "---" for column in range(len(headings))]
    lines = [headings, ruler, *([_text(cell) for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _text(text: str, longest: int = _LONGEST_TEXT) -> str:
    """Return ``text`` with escapes, so that nothing in it is markup, a link or HTML."""
    escaped = re.sub(r"[\\`*_{}\[\]<>#|~&!$^=+]", r"\\\g<0>", printable(text, longest))
    return re.sub(r"(?<=www)\.|:(?=//)", r"\\\g<0>", escaped)
