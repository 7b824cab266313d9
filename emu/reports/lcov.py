"""Coverage in lcov's tracefile format, for ``genhtml``, editors and services that show coverage in the source."""

import re
from collections.abc import Iterable, Iterator

from emu.printable import printable
from emu.record import Coverage, CoveredFunction, Run

_LONGEST_PATH = 4096


def render_lcov(runs: Iterable[Run]) -> str:
    """Return a tracefile with a test for each run that has coverage; lcov adds up the tests of a file."""
    return "".join(
        f"{line}\n"
        for run in runs
        if run.coverage is not None
        for file in sorted({*run.coverage.lines, *(f.file for f in run.coverage.functions if f.file is not None)})
        for line in (f"TN:{_test_name(run)}", *_file(run.coverage, file))
    )


def _test_name(run: Run) -> str:
    return re.sub(r"\W", "_", f"{run.model}_{run.target}", flags=re.ASCII)  # lcov allows no other characters


def _file(coverage: Coverage, file: str) -> Iterator[str]:
    functions: dict[str, list[CoveredFunction]] = {}
    for function in coverage.functions:
        if function.file == file and function.function is not None:
            functions.setdefault(printable(function.function), []).append(function)
    lines = coverage.lines.get(file, {})
    yield f"SF:{printable(file, _LONGEST_PATH)}"
    # A static function in a header may have several copies.
    executions = {name: sum(copy.executions for copy in copies) for name, copies in functions.items()}
    yield from (f"FN:{copies[0].line or 0},{name}" for name, copies in functions.items())
    yield from (f"FNDA:{count},{name}" for name, count in executions.items())
    yield f"FNF:{len(executions)}"
    yield f"FNH:{sum(count > 0 for count in executions.values())}"
    yield from (f"DA:{line},{count}" for line, count in lines.items())
    yield f"LF:{len(lines)}"
    yield f"LH:{sum(count > 0 for count in lines.values())}"
    yield "end_of_record"
