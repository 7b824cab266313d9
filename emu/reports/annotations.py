"""Failures as GitHub's workflow commands: each becomes an annotation on a line of the source."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from emu.printable import printable
from emu.record import Fault, Frame, Location, Run, Verdict
from emu.reports.evidence import fault_lines, finding_lines, frame_lines
from emu.reports.sources import Sources
from emu.wording import counted, kind, margin, title

_MOST = 10
"""GitHub shows no more annotations of one step and level."""
_LONGEST_LINE, _MOST_LINES = 300, 20
_COUNT_WHAT_IS_ANNOTATED = ("no fault", "no memory error")


@dataclass(frozen=True)
class _Annotation:
    title: str
    lines: Sequence[str]
    places: Sequence[Location] = ()
    """The places that can show it, best first."""


def render_annotations(runs: Sequence[Run], checkout: Path) -> str:
    """Return a line for each fault, memory error and other failed verdict; a step of a workflow prints them.

    A place outside ``checkout``, such as the C library, gives way to its nearest caller inside.
    """
    annotations = [annotation for run in runs for annotation in _annotations(run)]
    left = len(annotations) - _MOST
    if left > 0:
        more = _Annotation(counted(left + 1, "more failure"), ["The step summary and the HTML report have them."])
        annotations = [*annotations[: _MOST - 1], more]
    sources = Sources(checkout)
    return "".join(f"{_command(annotation, sources)}\n" for annotation in annotations)


def _annotations(run: Run) -> Iterator[_Annotation]:
    for fault in run.faults:
        yield _of_fault(run, fault, fault_lines(fault))
    if run.memory_check is not None:
        for finding in run.memory_check.findings:
            yield _of_fault(run, finding, finding_lines(finding))
    for verdict in run.verdicts:
        if not verdict.ok and verdict.name not in _COUNT_WHAT_IS_ANNOTATED:
            yield _of_verdict(run, verdict)


def _of_fault(run: Run, fault: Fault, lines: Iterator[str]) -> _Annotation:
    return _Annotation(f"{kind(fault.kind)}: {title(run)}", [*lines], [fault, *fault.backtrace])


def _of_verdict(run: Run, verdict: Verdict) -> _Annotation:
    by_how_much = f" ({margin(verdict)})" if margin(verdict) else ""
    headline = f"{verdict.name}: {verdict.value}, limit: {verdict.limit}{by_how_much}"
    frames = _stack_of(run, verdict)
    largest = sorted(frames, key=lambda frame: -(frame.frame_bytes or 0))
    return _Annotation(f"{verdict.name}: {title(run)}", [headline, *frame_lines(frames)], largest)


def _stack_of(run: Run, verdict: Verdict) -> Sequence[Frame]:
    """Return the frames of the stack that a verdict is about; no frames if it is about no stack."""
    for stack in run.stack.stacks[1:]:
        if verdict.name == f"stack {stack.name} fits":
            return stack.backtrace
    return run.stack.backtrace if verdict.name == "stack fits" else []


def _first(places: Sequence[Location], sources: Sources) -> tuple[str, int] | None:
    """Return the file (relative to the checkout) and line of the first place in the checkout, or None."""
    for location in places:
        file = sources.find(location.file) if location.file else None
        if file is not None and location.line is not None:
            return file, location.line
    return None


def _command(annotation: _Annotation, sources: Sources) -> str:
    place = _first(annotation.places, sources)
    properties = {"file": place[0], "line": str(place[1])} if place is not None else {}
    properties["title"] = printable(annotation.title)
    named = ",".join(f"{name}={_property(value)}" for name, value in properties.items())
    shown = [printable(line, _LONGEST_LINE) for line in annotation.lines[:_MOST_LINES]]
    return f"::error {named}::{_data(chr(10).join(shown))}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
