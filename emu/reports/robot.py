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
    theirs = read_file(xunit, "XML", ElementTree.fromstring)
    if theirs.tag not in ("testsuite", "testsuites"):
        raise InputError(f"{xunit} was not written by `rebot --xunit`: its root is <{theirs.tag}>")
    ours = ElementTree.fromstring(junit)
    added = list(theirs) if theirs.tag == "testsuites" else [theirs]
    for name in _COUNTS:
        ours.set(name, str(sum(int(part.get(name, "0")) for part in (ours, *added))))
    ours.extend(added)
    ElementTree.indent(ours)
    return ElementTree.tostring(ours, encoding="unicode", xml_declaration=True) + "\n"
