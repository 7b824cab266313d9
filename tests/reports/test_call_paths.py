"""A call path has one text in all places: in the terminal, on the page, and under a limit."""

import io
import re

import pytest
from rich.console import Console

from emu.budgets.limits import users
from emu.budgets.usage import usages
from emu.record import Frame, Run
from emu.reports.html import render_html
from emu.reports.terminal import print_run
from emu.targets import find_target


def shown_paths(run: Run) -> list[str]:
    """Return the callers of the run's largest allocation as three reports show them."""
    terminal = io.StringIO()
    print_run(Console(file=terminal, width=300), run, find_target(run.target).board)
    page = re.sub(r"<[^>]+>", "", render_html([run])).replace("&lt;", "<")
    limit = "\n".join(users("heap", usages(run)["heap"]))
    path = r"((?:caller_\d|\.\.\.)(?: < (?:caller_\d|\.\.\.))*)"
    before = {"at its peak.*innermost < ": terminal.getvalue(), "called by ": page, "innermost .*:7 < ": limit}
    return [match[1] for words, text in before.items() if (match := re.search(words + path, text))]


@pytest.mark.parametrize(("callers", "cut"), [(1, False), (4, False), (5, False), (6, True), (9, True)])
def test_every_report_cuts_a_call_path_after_the_six_innermost_functions(faulty: Run, callers: int, cut: bool):
    run = faulty.model_copy(deep=True)
    names = ["innermost", *(f"caller_{index}" for index in range(callers))]
    run.heap.peak = run.heap.peak[:1]
    run.heap.peak[0].function, run.heap.peak[0].file, run.heap.peak[0].line = "innermost", "a.c", 7
    run.heap.peak[0].backtrace = [Frame(function=name, pc=0, frame_bytes=8) for name in names]
    expected = " < ".join([*names[1:6], *(["..."] if cut else [])])
    assert shown_paths(run) == [expected] * 3
