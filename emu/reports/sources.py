"""Source files, found on the reader's machine: debug information has the names that the compiler saw."""

import os
from collections import Counter
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path, PurePosixPath

from emu.record import Coverage, Run
from emu.resources import resource

_ENGINE = PurePosixPath("runtime")
"""The folder of emu's C engine, as debug information names it."""


class Sources:
    """The source files in a directory, found by their names in debug information."""

    def __init__(self, directory: Path):
        self.directory = directory.resolve()

    def find(self, name: str) -> str | None:
        """Return the path of the file called ``name``, relative to the directory; None if it means no file there."""
        path = Path(os.path.normpath(self.directory / name))
        if path.is_relative_to(self.directory) and os.path.isfile(path):  # noqa: PTH113 - no error for an odd name
            return path.relative_to(self.directory).as_posix()
        # A name is relative to the directory of the compilation, which may be another directory.
        ending = PurePosixPath(name).parts
        if not ending or PurePosixPath(name).is_absolute() or ".." in ending:
            return None
        found = [each for each in self._files.get(ending[-1], []) if each.parts[-len(ending) :] == ending]
        return found[0].as_posix() if len(found) == 1 else None

    @cached_property
    def _files(self) -> dict[str, list[PurePosixPath]]:
        files: dict[str, list[PurePosixPath]] = {}
        for directory, subdirectories, names in os.walk(self.directory):
            subdirectories[:] = [name for name in subdirectories if not name.startswith(".")]
            for name in names:
                path = Path(directory, name).relative_to(self.directory)
                files.setdefault(name, []).append(PurePosixPath(path))
        return files


def with_own_sources(runs: Sequence[Run], sources: Sources) -> list[Run]:
    """Return the runs with the coverage of the files in ``sources`` and of emu's engine, each under its path.

    Files that the reader lacks, such as the C library's, are left out: tools that show coverage in the source refuse a
    file that they cannot open, and the reader need not test their lines.
    """
    return [
        run if run.coverage is None else run.model_copy(update={"coverage": _own(run.coverage, sources)})
        for run in runs
    ]


def _own(coverage: Coverage, sources: Sources) -> Coverage:
    named = {*coverage.lines, *(function.file for function in coverage.functions if function.file is not None)}
    own = {name: path for name in named if (path := sources.find(name) or _in_engine(name)) is not None}
    lines: dict[str, Counter[int]] = {}
    for name, counts in coverage.lines.items():  # two names may lead to one file
        if name in own:
            lines.setdefault(own[name], Counter()).update(counts)
    functions = [
        function.model_copy(update={"file": own[function.file]})
        for function in coverage.functions
        if function.file in own
    ]
    return Coverage(lines={file: dict(sorted(counts.items())) for file, counts in lines.items()}, functions=functions)


def _in_engine(name: str) -> str | None:
    """Return the path of a file of the installed engine, or None if the name means no such file."""
    path = PurePosixPath(name)
    if ".." in path.parts or not path.is_relative_to(_ENGINE):
        return None
    file = resource(str(_ENGINE)).parent / path
    return str(file) if os.path.isfile(file) else None  # noqa: PTH113 - no error for an odd name
