"""Code Quality reports as GitLab reads them: each issue has a file, a line and a fingerprint of its own."""

import json
import re
from pathlib import Path

import pytest

from emu.record import Run
from emu.reports.code_quality import render_code_quality
from emu.reports.sources import Sources

REPOSITORY = Path(__file__).parents[2]
SOURCE = "tests/reports/leaks_and_faults.c"


def issues(runs: list[Run], directory: Path = REPOSITORY) -> list[dict]:
    found = json.loads(render_code_quality(runs, Sources(directory)))
    for each in found:
        assert each.keys() == {"description", "check_name", "fingerprint", "severity", "location"}
        assert re.fullmatch(r"[0-9a-f]{64}", each["fingerprint"])
        assert each["severity"] in ("info", "minor", "major", "critical", "blocker")
        assert isinstance(each["location"]["path"], str)
        assert each["location"]["path"]
        assert each["location"]["lines"]["begin"] >= 1
    assert len({each["fingerprint"] for each in found}) == len(found)
    return found


@pytest.mark.parametrize("comment", ["double free", "unmapped", "uninitialised"])
def test_each_failure_is_at_its_line(faulty: Run, comment: str):
    lines = (REPOSITORY / SOURCE).read_text().splitlines()
    (number,) = (number for number, line in enumerate(lines, 1) if f"/* {comment} */" in line)
    (issue,) = [each for each in issues([faulty]) if comment in each["description"]]
    assert issue["location"] == {"path": SOURCE, "lines": {"begin": number}}
    assert issue["check_name"].startswith(comment)


def test_where_nothing_failed_nothing_is_said(demos: list[Run]):
    assert issues(demos) == []


def test_a_failure_without_a_line_is_at_what_ran(faulty: Run, tmp_path: Path):
    assert {each["location"]["path"] for each in issues([faulty], tmp_path)} == {"faulty"}


def test_a_fingerprint_outlives_an_edit_above_it(faulty: Run):
    moved = faulty.model_copy(deep=True)
    for fault in [*moved.faults, *(moved.memory_check.findings if moved.memory_check else [])]:
        for place in (fault, *fault.backtrace):
            place.line = place.line + 7 if place.line is not None else None
    before, after = issues([faulty]), issues([moved])
    assert [each["fingerprint"] for each in before] == [each["fingerprint"] for each in after]
    assert [each["location"] for each in before] != [each["location"] for each in after]


def test_the_same_failure_twice_is_two_issues(faulty: Run):
    run = faulty.model_copy(deep=True)
    run.faults *= 3
    assert len(issues([run])) == len(issues([faulty])) + 2 * len(faulty.faults)


def test_no_text_of_a_record_reaches_the_file_raw(poisoned: list[Run]):
    for each in issues(poisoned):
        for text in (each["description"], each["check_name"], each["location"]["path"]):
            assert re.fullmatch(r"[ -~\xa0-\U0010ffff]*", text)
