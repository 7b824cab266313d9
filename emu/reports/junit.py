"""JUnit XML for CI servers that show tests: verdicts are test cases, figures are properties."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from xml.etree import ElementTree

from emu.figures import NotMeasured, readings
from emu.file_names import told_apart
from emu.printable import printable
from emu.record import Fault, Run, Verdict
from emu.reports.evidence import disagreements, fault_lines, finding_lines, frame_lines, refusals, worst_inputs
from emu.wording import counted, interrupts_note, last_lines, margin, title, without_numbers

_FAULTS, _OUTPUT_LINES = 20, 200


def render_junit(runs: Sequence[Run]) -> str:
    """Return the XML: a test suite for each run, a test case for each verdict."""
    suites = ElementTree.Element("testsuites", {"name": "emu", **_counts([v for run in runs for v in run.verdicts])})
    suites.extend(_suite(run, note) for run, note in zip(runs, _notes(runs), strict=True))
    ElementTree.indent(suites)
    return ElementTree.tostring(suites, encoding="unicode", xml_declaration=True) + "\n"


def _counts(verdicts: Sequence[Verdict]) -> dict[str, str]:
    failures = sum(not verdict.ok for verdict in verdicts)
    return {"tests": str(len(verdicts)), "failures": str(failures), "errors": "0"}


def _notes(runs: Sequence[Run]) -> list[str]:
    """Return what tells runs of one name apart, for CI servers that know a test by its name; "" if the name is enough.

    That is the end of the firmware's path, or a number if the firmware is the same file or has another name.
    """
    ends = told_apart([(title(run), Path(run.firmware.path)) for run in runs])
    notes: list[str] = []
    for index, run in enumerate(runs):
        same = [other for other in range(len(runs)) if title(runs[other]) == title(run)]
        is_named = len({ends[other] for other in same}) == len(same) and Path(run.firmware.path).stem == run.model
        note = ends[index] if is_named else str(same.index(index) + 1)
        notes.append(f" ({note})" if len(same) > 1 else "")
    return notes


def _suite(run: Run, note: str) -> ElementTree.Element:
    suite = ElementTree.Element("testsuite", {"name": printable(title(run) + note), **_counts(run.verdicts)})
    properties = ElementTree.SubElement(suite, "properties")
    for name, value in _properties(run):
        ElementTree.SubElement(properties, "property", name=printable(name), value=printable(value))
    for verdict in run.verdicts:
        suite.append(_case(run, verdict, note))
    lines, number = last_lines(run.output, _OUTPUT_LINES)
    if lines:
        cut = [f"(the last {len(lines)} of {counted(number, 'line')})"] if len(lines) < number else []
        ElementTree.SubElement(suite, "system-out").text = "\n".join([*cut, *lines])
    return suite


def _properties(run: Run) -> Iterator[tuple[str, str]]:
    for reading in readings(run):
        if not isinstance(reading.value, NotMeasured):
            yield reading.figure.name, f"{reading.value:.10g}"
    yield from (("heap.refused", line) for line in list(refusals(run.heap))[:_FAULTS])
    yield from ((f"verdict.{verdict.name}", f"{verdict.value}, limit: {verdict.limit}") for verdict in run.verdicts)
    yield "firmware.sha256", run.firmware.sha256
    yield "firmware.toolchain", run.firmware.toolchain or "not known"
    yield from ((f"environment.{name}", value) for name, value in run.environment.items())
    yield from ((f"not_measured.{name}", why) for name, why in run.not_measured.items())


def _case(run: Run, verdict: Verdict, note: str) -> ElementTree.Element:
    case = ElementTree.Element(
        "testcase", classname=printable(f"{run.model}.{run.target}{note}"), name=printable(verdict.name)
    )
    if not verdict.ok:
        by_how_much = f" ({margin(verdict)})" if margin(verdict) else ""
        message = printable(f"{verdict.value}, limit: {verdict.limit}{by_how_much}")
        failure = ElementTree.SubElement(case, "failure", type="verdict", message=message)
        failure.text = "\n".join([message, *map(printable, _evidence(run, verdict))])
    return case


def _evidence(run: Run, verdict: Verdict) -> Iterator[str]:
    """Yield lines that show a person the places to look at."""
    match verdict.name.split():
        case ["no", "fault"]:
            yield from _faults(run.faults)
        case ["no", "memory", "error"] if run.memory_check is not None:
            for finding in run.memory_check.findings[:_FAULTS]:
                yield from finding_lines(finding)
        case ["labels", *_] if run.parity is not None:
            yield from [*without_numbers(run.parity), *disagreements(run.parity)]
            yield from worst_inputs(run.parity)
        case ["mean", *_] if run.parity is not None:
            yield from worst_inputs(run.parity)
        case ["stack", *name, "fits"]:
            called = " ".join(name)
            chosen = [stack for stack in run.other_stacks if stack.name == called] or run.stack.stacks[:1]
            yield from filter(None, map(interrupts_note, chosen))
            yield from frame_lines(chosen[0].backtrace if chosen else run.stack.backtrace)


def _faults(faults: Sequence[Fault]) -> Iterator[str]:
    for fault in faults[:_FAULTS]:
        yield from fault_lines(fault)
