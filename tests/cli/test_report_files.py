"""`emu run --report` and the files of `emu report`: the files that are written, and those that cannot be."""

import json
from pathlib import Path

import pytest
from records import read_runs

OPTIONS = ("-t", "stm32h7-unicorn", "--limit", "1")
FILES = ["junit.xml", "report.html", "report.md", "run.json"]


@pytest.fixture(scope="module")
def directory(emu, tmp_path_factory) -> Path:
    directory = tmp_path_factory.mktemp("out") / "new" / "reports"
    assert emu("run", "har", *OPTIONS, "--report", directory, "--json", directory.parents[1] / "also.json").code == 0
    return directory


def test_a_directory_with_every_report(directory: Path):
    assert sorted(path.name for path in directory.iterdir()) == FILES
    assert (directory / "run.json").read_bytes() == (directory.parents[1] / "also.json").read_bytes()
    (run,) = read_runs(directory / "run.json")
    assert run.model == "har"


def test_a_record_renders_to_the_same_files_again(emu, tmp_path: Path, directory: Path):
    written = {"--html": "report.html", "--markdown": "report.md", "--junit": "junit.xml"}
    arguments = [text for option, name in written.items() for text in (option, tmp_path / name)]
    assert emu("report", directory / "run.json", *arguments).code == 0
    for name in written.values():
        assert (tmp_path / name).read_bytes() == (directory / name).read_bytes()


def test_several_records_are_one_report(emu, tmp_path: Path, directory: Path):
    record = directory / "run.json"
    assert emu("report", record, record, "--html", tmp_path / "r.html").code == 0
    assert "har, side by side" in (tmp_path / "r.html").read_text()


def test_a_record_of_an_earlier_version_still_renders(emu, tmp_path: Path, directory: Path):
    document = json.loads((directory / "run.json").read_text())
    for added in ("by_class", "worst_inputs"):
        del document["runs"][0]["parity"][added]
    (tmp_path / "old.json").write_text(json.dumps(document))
    assert emu("report", tmp_path / "old.json", "--html", tmp_path / "r.html").code == 0
    worst = document["runs"][0]["parity"]["worst_input"]
    assert f"#{worst['index']}</th>" in (tmp_path / "r.html").read_text()


def test_a_failed_run_is_reported_too(emu, tmp_path: Path):
    outcome = emu("run", "har", *OPTIONS, "--max-instructions", "5000000", "--report", tmp_path)
    assert outcome.code == 1
    assert (tmp_path / "report.md").read_text().startswith("## ❌ ")
    assert 'failures="' in (tmp_path / "junit.xml").read_text()


def test_where_nothing_can_be_written(emu, tmp_path: Path, directory: Path):
    (tmp_path / "file").write_text("")
    emu("run", "har", *OPTIONS, "--report", tmp_path / "file").assert_one_clear_line("file", "no directory", code=74)
    record = directory / "run.json"
    emu("report", record, "--html", tmp_path / "no" / "r.html").assert_one_clear_line(
        "r.html", "cannot be written", code=74
    )
