"""`emu report` renders a record, and needs nothing else."""

import json
import re
import shutil
import subprocess
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree

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


@pytest.fixture
def mixed(tmp_path: Path, record: Path) -> Path:
    """A record whose firmware also has code of a C library; no file of this machine is its source."""
    document = json.loads(record.read_text())
    coverage = document["runs"][0]["coverage"]
    coverage["lines"]["/build/newlib/libc/string/memcpy.c"] = {"10": 3, "11": 0}
    coverage["functions"].append(
        {"function": "memcpy", "file": "/build/newlib/libc/string/memcpy.c", "line": 9, "executions": 3}
    )
    (tmp_path / "mixed.json").write_text(json.dumps(document))
    return tmp_path / "mixed.json"


def test_coverage_is_of_the_files_that_a_reader_has(emu, tmp_path: Path, mixed: Path, run: Run):
    assert emu("report", mixed, "--lcov", tmp_path / "c.info", "--cobertura", tmp_path / "c.xml").code == 0
    assert run.coverage is not None
    for written, pattern in (("c.info", r"^SF:(.*)$"), ("c.xml", r'filename="([^"]*)"')):
        files = set(re.findall(pattern, (tmp_path / written).read_text(), re.MULTILINE))
        assert files == set(run.coverage.lines)
        assert all(Path(file).is_file() for file in files)


def test_coverage_of_all_files_on_request(emu, tmp_path: Path, mixed: Path):
    assert emu("report", mixed, "--lcov", tmp_path / "c.info", "--all-sources").code == 0
    assert "SF:/build/newlib/libc/string/memcpy.c\nFN:9,memcpy\n" in (tmp_path / "c.info").read_text()


def test_sources_may_be_elsewhere(emu, tmp_path: Path, record: Path, run: Run):
    (tmp_path / "project/engine/runtime/src").mkdir(parents=True)
    (tmp_path / "project/engine/runtime/src/step.c").write_text("\n")
    sources = ("--sources", tmp_path / "project")
    assert emu("report", record, "--cobertura", tmp_path / "c.xml", *sources).code == 0
    document = ElementTree.parse(tmp_path / "c.xml").getroot()
    assert document.findtext("sources/source") == str(tmp_path / "project")
    found = {each.attrib["filename"]: each for each in document.iter("class")}
    assert run.coverage is not None
    assert len(found) == len(run.coverage.lines)
    counts = run.coverage.lines["runtime/src/step.c"]
    assert {
        int(line.attrib["number"]): int(line.attrib["hits"])
        for line in found.pop("engine/runtime/src/step.c").iter("line")
    } == counts
    assert all(Path(name).is_absolute() and Path(name).is_file() for name in found), "the engine's, where it is"
    every = [count for counts in run.coverage.lines.values() for count in counts.values()]
    assert document.get("lines-valid") == str(len(every))
    assert document.get("lines-covered") == str(sum(map(bool, every)))


def test_no_source_is_here(emu, tmp_path: Path, mixed: Path):
    document = json.loads(mixed.read_text())
    lines = document["runs"][0]["coverage"]["lines"]
    document["runs"][0]["coverage"]["lines"] = {name: lines[name] for name in lines if "newlib" in name}
    mixed.write_text(json.dumps(document))
    outcome = emu("report", mixed, "--lcov", tmp_path / "no.info", "--sources", tmp_path)
    outcome.assert_one_clear_line("of 1 source file, none in", "--sources DIR", "--all-sources")
    assert not (tmp_path / "no.info").exists()


def test_two_runs_make_one_cobertura_file_with_their_sum(emu, tmp_path: Path, record: Path, run: Run):
    assert emu("report", record, record, "--cobertura", tmp_path / "c.xml").code == 0
    assert run.coverage is not None
    for each in ElementTree.parse(tmp_path / "c.xml").getroot().iter("class"):
        counts = {int(line.attrib["number"]): int(line.attrib["hits"]) for line in each.iter("line")}
        assert counts == {line: 2 * count for line, count in run.coverage.lines[each.attrib["filename"]].items()}


@pytest.mark.parametrize(("covered", "rate"), [(29_999, "0.9999"), (30_000, "1.0000"), (3_750, "0.1250")])
def test_only_full_coverage_has_the_rate_of_full_coverage(emu, tmp_path: Path, mixed: Path, covered: int, rate: str):
    document = json.loads(mixed.read_text())
    lines = {str(line): int(line <= covered) for line in range(1, 30_001)}
    document["runs"][0]["coverage"]["lines"] = {"large.c": lines}
    mixed.write_text(json.dumps(document))
    assert emu("report", mixed, "--cobertura", tmp_path / "c.xml", "--all-sources").code == 0
    rated = ElementTree.parse(tmp_path / "c.xml").getroot().iter()
    assert {each.attrib["line-rate"] for each in rated if "line-rate" in each.attrib} == {rate}


@pytest.mark.skipif(shutil.which("genhtml") is None, reason="genhtml is not installed (Debian: apt install lcov)")
@pytest.mark.parametrize("target", ["stm32h7-unicorn", "esp32s3-qemu"])
def test_genhtml_takes_the_tracefile(emu, tmp_path: Path, target: str):
    """The ESP32-S3's firmware has code of libgcc, whose source no user has."""
    record = tmp_path / "run.json"
    assert emu("run", "har", "-t", target, "--limit", "1", "--coverage", "--json", record).code == 0
    assert emu("report", record, "--lcov", tmp_path / "c.info").code == 0
    command = ["genhtml", tmp_path / "c.info", "-o", tmp_path / "html"]
    shown = subprocess.run(command, capture_output=True, text=True, check=False)
    assert shown.returncode == 0, shown.stderr
    assert (tmp_path / "html/index.html").is_file()


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
