"""Outputs that are NaN or infinite, and inputs without an answer: the verdict and every report say how many."""

import re
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from emu.budgets.limits import out_of_parity
from emu.record import LayerError, Run
from emu.reports.annotations import render_annotations
from emu.reports.html import render_html
from emu.reports.junit import render_junit
from emu.reports.markdown import render_markdown
from emu.reports.sources import Sources
from emu.reports.terminal import print_run
from emu.targets import find_target

INFINITE = "NaN or infinite: 3 of 8 outputs, in 2 inputs: #1, #3"
UNANSWERED = "no answer to 4 of 4 inputs: the fault says why"


def printed(run: Run) -> str:
    text = StringIO()
    print_run(Console(file=text, width=200), run, find_target(run.target).board)
    return text.getvalue()


REPORTS = {
    "terminal": printed,
    "markdown": lambda run: render_markdown([run]),
    "html": lambda run: re.sub("<[^>]*>", " ", render_html([run])),
    "junit": lambda run: render_junit([run]),
    "annotations": lambda run: render_annotations([run], Sources(Path())),
    "plugin": lambda run: out_of_parity(run.parity, 1e-4, argmax=True),
}


@pytest.mark.parametrize("report", REPORTS)
def test_every_report_says_how_many_outputs_are_not_numbers(infinite: Run, report: str):
    text = REPORTS[report](infinite).replace("\\", "")
    assert INFINITE in text
    assert not re.search("class -1|error inf|(mean|largest) inf", text)


@pytest.mark.parametrize("report", REPORTS)
def test_every_report_tells_no_answer_from_an_answer_that_is_not_a_number(unanswered: Run, report: str):
    text = REPORTS[report](unanswered).replace("\\", "")
    assert UNANSWERED in text
    assert "NaN" not in text
    assert not re.search("class -1|error inf|(mean|largest) inf", text)


def test_the_verdict_says_it(infinite: Run, unanswered: Run):
    errors = [next(v for v in run.verdicts if v.name == "mean logit error") for run in (infinite, unanswered)]
    assert [(verdict.ok, verdict.value) for verdict in errors] == [(False, INFINITE), (False, UNANSWERED)]


@pytest.mark.parametrize("report", ["terminal", "markdown"])
def test_a_tensor_that_is_not_a_number_says_so(infinite: Run, report: str):
    layer = LayerError(tensor="layers.0", max_abs_error=float("inf"), largest=1.0, diverged=True)
    text = REPORTS[report](infinite.model_copy(update={"layers": [layer]}))
    assert "some of it is NaN or infinite" in text
