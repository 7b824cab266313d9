"""Coverage as Cobertura XML, for servers that show coverage next to a change (GitLab, Jenkins, Azure).

The elements and attributes are those of coverage-04.dtd. emu counts no branches, so the file has none.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from xml.etree import ElementTree

import emu
from emu.printable import printable
from emu.record import Run

_LONGEST_PATH = 4096
_RATE_STEPS = 10_000
_NO_BRANCHES = {"branch-rate": "0", "complexity": "0"}
_DOCTYPE = '<!DOCTYPE coverage SYSTEM "http://cobertura.sourceforge.net/xml/coverage-04.dtd">'


def render_cobertura(runs: Sequence[Run], directory: Path) -> str:
    """Return the XML: a package for each folder, a class for each file; the executions of all runs are added up.

    The files' paths begin in ``directory``.
    """
    files: dict[str, Counter[int]] = {}
    for run in runs:
        for file, lines in run.coverage.lines.items() if run.coverage is not None else ():
            files.setdefault(file, Counter()).update(lines)
    every = [count for lines in files.values() for count in lines.values()]
    coverage = ElementTree.Element(
        "coverage",
        {
            **_rates(every),
            "lines-covered": str(sum(map(bool, every))),
            "lines-valid": str(len(every)),
            "branches-covered": "0",
            "branches-valid": "0",
            "version": f"emu {emu.__version__}",
            "timestamp": "0",  # the report is made from the record alone, and the record has no date
        },
    )
    ElementTree.SubElement(ElementTree.SubElement(coverage, "sources"), "source").text = printable(str(directory))
    packages = ElementTree.SubElement(coverage, "packages")
    folders = {file: str(PurePosixPath(file).parent) for file in files}
    for folder in sorted(set(folders.values())):
        packages.append(_package(folder, {file: files[file] for file in sorted(files) if folders[file] == folder}))
    ElementTree.indent(coverage)
    body = ElementTree.tostring(coverage, encoding="unicode")
    return f'<?xml version="1.0" encoding="utf-8"?>\n{_DOCTYPE}\n{body}\n'


def _package(folder: str, files: Mapping[str, Mapping[int, int]]) -> ElementTree.Element:
    counts = [count for lines in files.values() for count in lines.values()]
    package = ElementTree.Element("package", {"name": printable(folder, _LONGEST_PATH), **_rates(counts)})
    classes = ElementTree.SubElement(package, "classes")
    for file, lines in files.items():
        named = {"name": printable(PurePosixPath(file).name), "filename": printable(file, _LONGEST_PATH)}
        of_file = ElementTree.SubElement(classes, "class", {**named, **_rates(lines.values())})
        ElementTree.SubElement(of_file, "methods")
        listed = ElementTree.SubElement(of_file, "lines")
        for line, count in sorted(lines.items()):
            ElementTree.SubElement(listed, "line", number=str(line), hits=str(count), branch="false")
    return package


def _rates(counts: Iterable[int]) -> dict[str, str]:
    """Return the rates as attributes. They are rounded down: 1.0000 means that every line ran."""
    counts = list(counts)
    rate = sum(map(bool, counts)) * _RATE_STEPS // len(counts) / _RATE_STEPS if counts else 1.0
    return {"line-rate": f"{rate:.4f}", **_NO_BRANCHES}
