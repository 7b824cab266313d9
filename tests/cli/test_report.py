"""`emu report` renders what a record holds, from the record alone."""

import json
from collections import Counter
from pathlib import Path

import pytest
from records import read_runs

from emu.record import Run


@pytest.fixture(scope="module")
def record(emu, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("record") / "run.json"
    options = ("-t", "stm32h7-unicorn", "--limit", "2", "--json", path)
    outcome = emu("run", "har", *options, "--profile", "--coverage")
    assert outcome.code == 0, outcome
    assert "functions, " in outcome.stdout
    return path


@pytest.fixture(scope="module")
def run(record: Path) -> Run:
    (run,) = read_runs(record)
    return run


def test_only_what_was_asked_for_is_recorded(emu, tmp_path: Path, record: Path):
    emu("run", "har", "-t", "stm32h7-unicorn", "--limit", "2", "--json", tmp_path / "r.json")
    (plain,) = read_runs(tmp_path / "r.json")
    assert (plain.profile, plain.coverage) == (None, None)
    assert plain.not_measured["profile"] == "only on request (--profile)"
    (full,) = read_runs(record)
    assert full.instructions == plain.instructions


def test_the_tracefile_adds_up(emu, tmp_path: Path, record: Path, run: Run):
    assert emu("report", record, "--lcov", tmp_path / "c.info").code == 0
    assert run.coverage is not None
    found: dict[str, dict[int, int]] = {}
    entered: set[tuple[str, str]] = set()
    for text in (tmp_path / "c.info").read_text().split("end_of_record\n")[:-1]:
        rows = [row.split(":", 1) for row in text.splitlines()]
        values = {key: [value for name, value in rows if name == key] for key, _ in rows}
        (file,), (test,) = values["SF"], values["TN"]
        assert test == "har_stm32h7_unicorn"
        found[file] = {int(line): int(count) for line, count in (row.split(",") for row in values["DA"])}
        assert values["LF"] == [str(len(found[file]))]
        assert values["LH"] == [str(sum(count > 0 for count in found[file].values()))]
        named = {row.split(",")[1] for row in values.get("FN", [])}
        counts = {name: int(count) for count, name in (row.split(",") for row in values.get("FNDA", []))}
        assert named == counts.keys()
        assert values["FNF"] == [str(len(named))]
        assert values["FNH"] == [str(sum(count > 0 for count in counts.values()))]
        entered |= {(file, name) for name, count in counts.items() if count}
    assert found == run.coverage.lines
    assert ("runtime/port/main.c", "main") in entered
    assert ("runtime/port/armv7em/startup.c", "unexpected_exception") not in entered


def test_speedscope_opens_and_closes_every_frame(emu, tmp_path: Path, record: Path, run: Run):
    assert emu("report", record, "--speedscope", tmp_path / "s.json").code == 0
    document = json.loads((tmp_path / "s.json").read_text())
    assert document["$schema"] == "https://www.speedscope.app/file-format-schema.json"
    (profile,) = document["profiles"]
    assert (profile["type"], profile["unit"], profile["startValue"]) == ("evented", "none", 0)
    assert profile["endValue"] == run.instructions.total
    names = [frame["name"] for frame in document["shared"]["frames"]]
    own: Counter[str] = Counter()
    stack: list[int] = []
    now = 0
    for event in profile["events"]:
        assert event["at"] >= now
        if stack:
            own[names[stack[-1]]] += event["at"] - now
        now = event["at"]
        if event["type"] == "O":
            stack.append(event["frame"])
        else:
            assert stack.pop() == event["frame"]
    assert not stack
    assert own == Counter(run.instructions.by_function)


def test_collapsed_stacks_add_up(emu, tmp_path: Path, record: Path, run: Run):
    assert emu("report", record, "--collapsed", tmp_path / "c.txt").code == 0
    own: Counter[str] = Counter()
    for line in (tmp_path / "c.txt").read_text().splitlines():
        stack, count = line.rsplit(" ", 1)
        assert stack.startswith("reset_handler")
        own[stack.split(";")[-1]] += int(count)
    assert own == Counter(run.instructions.by_function)


def test_several_records_stay_apart(emu, tmp_path: Path, record: Path):
    emu("report", record, record, "--collapsed", tmp_path / "c.txt", "--speedscope", tmp_path / "s.json")
    first = {line.split(";")[0] for line in (tmp_path / "c.txt").read_text().splitlines() if ";main" in line}
    assert first == {"har on stm32h7-unicorn"}
    assert len(json.loads((tmp_path / "s.json").read_text())["profiles"]) == 2


def test_what_is_missing_is_said(emu, tmp_path: Path, record: Path):
    emu("report", record).assert_one_clear_line("--lcov", "--speedscope", "--collapsed")
    document = json.loads(record.read_text())
    document["runs"][0]["profile"] = document["runs"][0]["coverage"] = None
    (tmp_path / "plain.json").write_text(json.dumps(document))
    emu("report", tmp_path / "plain.json", "--lcov", tmp_path / "c").assert_one_clear_line("plain.json", "--coverage")
    emu("report", tmp_path / "plain.json", "--collapsed", tmp_path / "c").assert_one_clear_line("emu run --profile")
    emu("report", tmp_path / "no.json", "--lcov", tmp_path / "c").assert_one_clear_line("no.json", "No such file")
    assert not (tmp_path / "c").exists()


@pytest.mark.parametrize("text", ["", "[]", "{", '{"schema": 2, "runs": []}', '{"schema": 1, "runs": [{"model": 1}]}'])
def test_a_file_that_is_no_record(emu, tmp_path: Path, text: str):
    (tmp_path / "r.json").write_text(text)
    emu("report", tmp_path / "r.json", "--lcov", tmp_path / "c").assert_one_clear_line("r.json", "not a run record")
