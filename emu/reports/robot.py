"""The results of Robot Framework's suites beside those of runs, in one JUnit file."""

from pathlib import Path
from xml.etree import ElementTree

from emu.errors import InputError
from emu.reading import read_file

_COUNTS = ("tests", "failures", "errors")


def add_robot_results(junit: str, xunit: Path) -> str:
    """Return ``junit`` with the suites that rebot has written to ``xunit`` behind its own.

    Raises InputError where that file is missing or something else.
    """
    theirs = read_file(xunit, "XML", ElementTree.fromstring)
    if theirs.tag not in ("testsuite", "testsuites"):
        raise InputError(f"{xunit} is not what `rebot --xunit` writes: it holds <{theirs.tag}>")
    ours = ElementTree.fromstring(junit)
    added = list(theirs) if theirs.tag == "testsuites" else [theirs]
    for name in _COUNTS:
        ours.set(name, str(sum(int(part.get(name, "0")) for part in (ours, *added))))
    ours.extend(added)
    ElementTree.indent(ours)
    return ElementTree.tostring(ours, encoding="unicode", xml_declaration=True) + "\n"
