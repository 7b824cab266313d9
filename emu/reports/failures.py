"""What failed in runs, each failure once, with the places of the source that can show it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from emu.record import Fault, Frame, Location, Run, Verdict
from emu.reports.evidence import fault_lines, finding_lines, frame_lines
from emu.reports.sources import Sources
from emu.wording import kind, margin

_COUNT_WHAT_IS_SHOWN = ("no fault", "no memory error")
"""Verdicts that only count faults and findings: each of those is a failure of its own."""


@dataclass(frozen=True)
class Failure:
    """A fault, a memory error or another failed verdict of a run."""

    run: Run
    name: str
    """Its kind: ``use after free``, ``stack fits``."""
    lines: Sequence[str]
    """The lines of its message, the headline first."""
    places: Sequence[Location] = ()
    """The places that can show it, best first."""

    def place(self, sources: Sources) -> tuple[str, int] | None:
        """Return the file (as ``sources`` names it) and line of the first place that is in ``sources``, or None.

        So a place in a library gives way to its nearest caller in the reader's own code.
        """
        for location in self.places:
            file = sources.find(location.file) if location.file else None
            if file is not None and location.line is not None:
                return file, location.line
        return None


def failures(runs: Sequence[Run]) -> list[Failure]:
    """Return what failed, in the order of the runs."""
    return [failure for run in runs for failure in _failures(run)]


def _failures(run: Run) -> Iterator[Failure]:
    for fault in run.faults:
        yield _of_fault(run, fault, fault_lines(fault))
    if run.memory_check is not None:
        for finding in run.memory_check.findings:
            yield _of_fault(run, finding, finding_lines(finding))
    for verdict in run.verdicts:
        if not verdict.ok and verdict.name not in _COUNT_WHAT_IS_SHOWN:
            yield _of_verdict(run, verdict)


def _of_fault(run: Run, fault: Fault, lines: Iterator[str]) -> Failure:
    return Failure(run, kind(fault.kind), [*lines], [fault, *fault.backtrace])


def _of_verdict(run: Run, verdict: Verdict) -> Failure:
    by_how_much = f" ({margin(verdict)})" if margin(verdict) else ""
    headline = f"{verdict.name}: {verdict.value}, limit: {verdict.limit}{by_how_much}"
    frames = _stack_of(run, verdict)
    largest = sorted(frames, key=lambda frame: -(frame.frame_bytes or 0))
    return Failure(run, verdict.name, [headline, *frame_lines(frames)], largest)


def _stack_of(run: Run, verdict: Verdict) -> Sequence[Frame]:
    """Return the frames of a verdict's stack; no frames if the verdict is not about a stack."""
    for stack in run.other_stacks:
        if verdict.name == f"stack {stack.name} fits":
            return stack.backtrace
    return run.stack.backtrace if verdict.name == "stack fits" else []
