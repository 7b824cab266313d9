"""The results of Robot Framework's suites, added to the JUnit file of the runs."""

from pathlib import Path
from xml.etree import ElementTree

from emu.errors import InputError
from emu.reading import read_file

_COUNTS = ("tests", "failures", "errors")


def add_robot_results(junit: str, xunit: Path) -> str:
    """Return ``junit`` with the suites of ``xunit``, a file that rebot wrote, after its own suites.

    Raises InputError if that file is missing or has another format.
    """
    added = read_file(xunit, "what `rebot --xunit` writes", _read_suites)
    ours = ElementTree.fromstring(junit)
    for name in _COUNTS:
        ours.set(name, str(sum(int(part.get(name, "0")) for part in (ours, *added))))
    ours.extend(added)
    ElementTree.indent(ours)
    return ElementTree.tostring(ours, encoding="unicode", xml_declaration=True) + "\n"


def _read_suites(xml: bytes) -> list[ElementTree.Element]:
    """Return the suites, each with counts that are numbers; raises InputError if it is XML of another kind."""
    root = ElementTree.fromstring(xml)
    if root.tag not in ("testsuite", "testsuites"):
        raise InputError(f"not what `rebot --xunit` writes: it holds <{root.tag}>")
    suites = list(root) if root.tag == "testsuites" else [root]
    for suite in suites:
        for name in _COUNTS:
            int(suite.get(name, "0"))
    return suites
