"""Annotations as GitHub's runner reads them from a step's output."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from emu.record import Run
from emu.reports import annotations
from emu.reports.sources import Sources

REPOSITORY = Path(__file__).parents[2]
SOURCE = REPOSITORY / "tests/reports/leaks_and_faults.c"


def render_annotations(runs: list[Run], checkout: Path) -> str:
    return annotations.render_annotations(runs, Sources(checkout))


def read_commands(text: str) -> Iterator[tuple[dict[str, str], str]]:
    """Yield properties and message of each command, unescaped; every line has to be a command."""
    for line in text.removesuffix("\n").split("\n") if text else []:
        match = re.fullmatch(r"::error ((?:[^:,=]+=[^:,]*)(?:,[^:,=]+=[^:,]*)*)::(.*)", line)
        assert match, line
        properties = dict(each.split("=", 1) for each in match[1].split(","))
        yield {name: unescape(value) for name, value in properties.items()}, unescape(match[2])


def unescape(text: str) -> str:
    for escape, character in (("%3A", ":"), ("%2C", ","), ("%0D", "\r"), ("%0A", "\n"), ("%25", "%")):
        text = text.replace(escape, character)
    return text


def line_of(comment: str) -> str:
    lines = SOURCE.read_text().splitlines()
    (number,) = (number for number, line in enumerate(lines, 1) if f"/* {comment} */" in line)
    return str(number)


@pytest.mark.parametrize("comment", ["double free", "unmapped", "uninitialised"])
def test_each_failure_is_at_its_line(faulty: Run, comment: str):
    found = [
        (properties["file"], properties["line"])
        for properties, message in read_commands(render_annotations([faulty], REPOSITORY))
        if message.startswith(comment)
    ]
    assert found == [("tests/reports/leaks_and_faults.c", line_of(comment))]


def test_the_message_has_the_backtrace(faulty: Run):
    ((_, message),) = [c for c in read_commands(render_annotations([faulty], REPOSITORY)) if "unmapped" in c[1]]
    assert re.search(r"\n +0 B  store_far_away .*\n +8 B  main ", message)


def test_where_nothing_failed_nothing_is_said(demos: list[Run]):
    assert render_annotations(demos, REPOSITORY) == ""


def test_a_stack_that_does_not_fit_is_shown_at_its_largest_frame(regressed: list[Run]):
    labels, stack = read_commands(render_annotations(regressed, REPOSITORY))
    assert labels[0].keys() == {"title"}, "no line of the source is at fault"
    assert stack[0]["file"] == "runtime/src/step.c"
    frame = next(f for f in regressed[1].stack.backtrace if f.function == "scan_and_gate")
    assert stack[0]["line"] == str(frame.line)
    assert "scan_and_gate" in stack[1]


@pytest.mark.parametrize("below", ["", "firmware/", "deep/er/"])
def test_a_file_named_from_the_directory_of_its_compilation(faulty: Run, tmp_path: Path, below: str):
    (tmp_path / below / "tests/reports").mkdir(parents=True)
    shutil.copy(SOURCE, tmp_path / below / "tests/reports")
    files = {properties["file"] for properties, _ in read_commands(render_annotations([faulty], tmp_path))}
    assert files == {f"{below}tests/reports/leaks_and_faults.c"}


def test_a_name_that_two_files_have_is_not_guessed(faulty: Run, tmp_path: Path):
    for below in ("one", "two"):
        (tmp_path / below / "tests/reports").mkdir(parents=True)
        shutil.copy(SOURCE, tmp_path / below / "tests/reports")
    assert all("file" not in properties for properties, _ in read_commands(render_annotations([faulty], tmp_path)))


def test_a_place_in_a_library_gives_way_to_its_caller(faulty: Run):
    run = faulty.model_copy(deep=True)
    run.faults = run.faults[:1]
    for place in (run.faults[0], run.faults[0].backtrace[0]):
        place.file = "/build/newlib/memcpy.c"
    (properties, message), *_ = read_commands(render_annotations([run], REPOSITORY))
    assert "memcpy.c" in message
    assert properties["line"] == str(run.faults[0].backtrace[1].line)


@pytest.mark.parametrize("name", ["../outside.c", "/etc/passwd", ".", "\0", "x" * 5000, "../" * 30 + "etc/passwd"])
def test_no_file_outside_of_the_checkout(faulty: Run, tmp_path: Path, name: str):
    (tmp_path / "outside.c").write_text("")
    (tmp_path / "checkout").mkdir()
    run = faulty.model_copy(deep=True)
    for fault in [*run.faults, *(run.memory_check.findings if run.memory_check else [])]:
        fault.file, fault.backtrace = name, []
    for properties, _ in read_commands(render_annotations([run], tmp_path / "checkout")):
        assert "file" not in properties


def test_no_text_of_a_record_is_a_command_of_its_own(poisoned: list[Run]):
    text = render_annotations(poisoned, REPOSITORY)
    for properties, message in read_commands(text):
        assert properties.keys() == {"title"}
        assert re.fullmatch(r"[\n -~\xa0-\U0010ffff]*", message), "control characters"
    assert not re.search(r"[^\n -~\xa0-\U0010ffff]", text)


def test_no_more_than_github_shows(faulty: Run):
    run = faulty.model_copy(deep=True)
    run.faults *= 40
    commands = list(read_commands(render_annotations([run], REPOSITORY)))
    assert len(commands) == 10
    assert commands[-1][0] == {"title": "72 more failures"}  # 80 faults and 1 memory error, of which 9 are shown
