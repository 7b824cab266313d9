"""Failures as GitHub's workflow commands: each becomes an annotation on a line of the source."""

from collections.abc import Sequence

from emu.printable import printable
from emu.record import Run
from emu.reports.failures import Failure, failures
from emu.reports.sources import Sources
from emu.wording import counted, title

_MOST = 10
"""GitHub shows no more annotations of one step and level."""
_LONGEST_LINE, _MOST_LINES = 300, 20


def render_annotations(runs: Sequence[Run], sources: Sources) -> str:
    """Return a line for each fault, memory error and other failed verdict, for a step of a workflow to print."""
    found = failures(runs)
    shown = found if len(found) <= _MOST else found[: _MOST - 1]
    commands = [_of_failure(failure, sources) for failure in shown]
    if len(shown) < len(found):
        headline = {"title": counted(len(found) - len(shown), "more failure")}
        commands.append(_command(headline, ["The step summary and the HTML report have them."]))
    return "".join(f"{command}\n" for command in commands)


def _of_failure(failure: Failure, sources: Sources) -> str:
    place = failure.place(sources)
    properties = {"file": place[0], "line": str(place[1])} if place is not None else {}
    return _command({**properties, "title": printable(f"{failure.name}: {title(failure.run)}")}, failure.lines)


def _command(properties: dict[str, str], lines: Sequence[str]) -> str:
    named = ",".join(f"{name}={_property(value)}" for name, value in properties.items())
    shown = [printable(line, _LONGEST_LINE) for line in lines[:_MOST_LINES]]
    return f"::error {named}::{_data(chr(10).join(shown))}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
