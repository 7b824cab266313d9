"""A recursion without end is short and quick to read in the record and in every report."""

import io
import json
import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from emu.budgets.limits import describe_fault, users
from emu.budgets.usage import usages
from emu.commands.page import render_page
from emu.record import Fault, Frame, Run, RunFile, Stack, StackUse
from emu.reports.annotations import render_annotations
from emu.reports.code_quality import render_code_quality
from emu.reports.collapsed import render_collapsed
from emu.reports.junit import render_junit
from emu.reports.lcov import render_lcov
from emu.reports.markdown import render_markdown
from emu.reports.sources import Sources
from emu.reports.speedscope import render_speedscope
from emu.reports.terminal import print_run
from emu.targets import find_target

HERE = Path(__file__).parent
MOST_BYTES = 1_000_000
MOST_SECONDS = 5.0
DEEP = 100_000


def in_terminal(run: Run) -> str:
    terminal = io.StringIO()
    print_run(Console(file=terminal, width=200), run, find_target(run.target).board)
    return terminal.getvalue()


def in_plugin(run: Run) -> str:
    return "\n".join([*map(describe_fault, run.faults), *users("stack", usages(run)["stack"])])


REPORTS: dict[str, Callable[[Run], str]] = {
    "terminal": in_terminal,
    "plugin": in_plugin,
    "html": lambda run: render_page([run]),
    "markdown": lambda run: render_markdown([run]),
    "junit": lambda run: render_junit([run]),
    "annotations": lambda run: render_annotations([run], Sources(HERE)),
    "code quality": lambda run: render_code_quality([run], Sources(HERE)),
    "collapsed": lambda run: render_collapsed([run]),
    "speedscope": lambda run: render_speedscope([run]),
    "lcov": lambda run: render_lcov([run]),
}
OF_STACKS = ("terminal", "plugin", "html", "markdown", "junit", "annotations")
OF_PROFILES = ("html", "collapsed", "speedscope")


def depth_of(run: Run) -> int:
    return sum(frame.times for frame in run.faults[0].backtrace)


def test_the_record_folds_it_and_the_sizes_add_up(recursion: Run) -> None:
    frames = recursion.faults[0].backtrace
    assert recursion.faults[0].kind == "stack_overflow"
    assert frames[-1].function == "reset_handler"
    assert frames[-2].function == "main"
    assert len(frames) < 20
    assert len(recursion.model_dump_json(indent=2)) < MOST_BYTES / 4
    assert depth_of(recursion) > 5000
    assert sum(frame.frame_bytes or 0 for frame in recursion.stack.backtrace) == recursion.memory.stack_peak_bytes
    folded = [frame for frame in frames if frame.times > 1]
    names = {frame.function for frame in folded}
    assert names in ({"deeper"}, {"rock", "paper", "scissors"})
    assert {frame.cycle for frame in folded} == {len(names)}
    assert {frame.times for frame in folded} == {folded[0].times}


@pytest.mark.parametrize("report", OF_STACKS)
def test_reports_say_how_often_a_frame_repeats(recursion: Run, report: str) -> None:
    text = REPORTS[report](recursion)
    (frame, *_) = (frame for frame in recursion.faults[0].backtrace if frame.times > 1)
    in_turn = r" \(3 in turn\)" if frame.cycle > 1 else ""
    assert re.search(rf"{frame.function}(</code>)? x {frame.times:,}{in_turn}", text)
    assert len(text) < MOST_BYTES / 4


@pytest.mark.parametrize("report", OF_PROFILES)
def test_reports_of_profiles_fold_it(recursion: Run, report: str) -> None:
    text = REPORTS[report](recursion)
    assert recursion.profile is not None
    most = max(path.times for path in recursion.profile.call_paths)
    assert most > 300
    assert f" x {most:,}" in text
    assert len(text) < MOST_BYTES / 4


def test_a_folded_profile_keeps_every_instruction(recursion: Run) -> None:
    assert recursion.profile is not None
    paths = recursion.profile.call_paths
    assert sum(path.self_instructions for path in paths) == recursion.instructions.total
    callees = [0] * len(paths)
    for path in paths:
        if path.caller is not None:
            callees[path.caller] += path.inclusive_instructions
    for path, below in zip(paths, callees, strict=True):
        assert path.inclusive_instructions == path.self_instructions + below


# ---- very deep stacks ------------------------------------------------------------------------------------------------


def deep_run(run: Run, frames: list[Frame]) -> Run:
    """Return ``run`` with a stack of ``frames``, read from a record that an older emu wrote."""
    fault = Fault(kind="stack_overflow", detail="too deep").model_dump()
    use = StackUse(name="main", pointer="MSP", top=0x2002_0000, limit_bytes=None, peak_bytes=8 * DEEP).model_dump()
    backtrace = [frame.model_dump() for frame in frames]
    written = run.model_dump() | {
        "faults": [fault | {"backtrace": backtrace}],
        "stack": Stack().model_dump() | {"backtrace": backtrace, "stacks": [use | {"backtrace": backtrace}]},
    }
    return Run.model_validate(json.loads(json.dumps(written)))


def numbered(number: int) -> Frame:
    return Frame(function=f"f{number}", file="f.c", line=number + 1, pc=0x0800_0000 + 2 * number, frame_bytes=8)


SHAPES = {
    "one function": [numbered(0)] * DEEP,
    "five in turn": [numbered(index % 5) for index in range(DEEP)],
    "different functions": [numbered(index) for index in range(DEEP)],
    "a deep cycle": [numbered(index % 100) for index in range(DEEP)],
    "a recursion inside a recursion": [numbered(index % 10 // 9) for index in range(DEEP)],
}


@pytest.mark.parametrize("frames", SHAPES.values(), ids=SHAPES)
def test_a_stack_of_a_hundred_thousand_frames_is_small_and_quick(faulty: Run, frames: list[Frame]) -> None:
    run = deep_run(faulty, frames)
    began = time.process_time()
    assert len(RunFile(runs=[run]).model_dump_json(indent=2, by_alias=True)) < MOST_BYTES
    for name, render in REPORTS.items():
        assert len(render(run)) < MOST_BYTES, name
    assert time.process_time() - began < MOST_SECONDS
    for kept in (run.stack.backtrace, run.faults[0].backtrace, run.stack.stacks[0].backtrace):
        assert sum(frame.times for frame in kept) == DEEP
        assert sum(frame.frame_bytes or 0 for frame in kept) == 8 * DEEP
        assert Stack(backtrace=kept).backtrace == kept
    assert Run.model_validate_json(run.model_dump_json()) == run


def test_what_a_record_leaves_out_is_said(faulty: Run) -> None:
    run = deep_run(faulty, SHAPES["different functions"][:1000])
    (rest,) = (frame for frame in run.stack.backtrace if frame.is_rest)
    for report in ("terminal", "plugin", "junit"):
        assert f"({rest.times:,} other frames)" in REPORTS[report](run), report


def test_few_repetitions_are_shown_one_by_one() -> None:
    frames = [numbered(0)] * 5 + [numbered(1)] + [numbered(0), numbered(2)] * 4
    assert Stack(backtrace=frames).backtrace == frames


def test_frames_of_an_unknown_size_stay_unknown() -> None:
    unknown = Frame(pc=4, frame_bytes=None)
    assert Stack(backtrace=[unknown] * 10).backtrace == [Frame(pc=4, frame_bytes=None, times=10)]
