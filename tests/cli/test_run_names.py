"""Runs have names: the user's, or names that tell two files of one stem apart, in every report."""

import shutil
from pathlib import Path
from xml.etree import ElementTree

import pytest
from records import read_runs
from test_faulty_firmware import build
from test_starts import ENDS

ON_UNICORN = ("-t", "stm32h7-unicorn")


@pytest.fixture(scope="module")
def firmware(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with debug/fw.elf and release/fw.elf, which are different programs."""
    directory = tmp_path_factory.mktemp("stem")
    for name in ("debug", "release"):
        elf = build(directory, name, ENDS.format(text=name))
        (directory / name).mkdir()
        shutil.move(elf, directory / name / "fw.elf")
    return directory


def cases(path: Path) -> list[tuple[str, str]]:
    return [(case.attrib["classname"], case.attrib["name"]) for case in ElementTree.parse(path).iter("testcase")]


def test_two_files_of_one_stem_are_told_apart_in_every_report(emu, firmware: Path, tmp_path: Path):
    report = tmp_path / "report"
    outcome = emu("run", firmware / "debug/fw.elf", firmware / "release/fw.elf", *ON_UNICORN, "--report", report)
    assert outcome.code == 0, outcome
    assert [run.model for run in read_runs(report / "run.json")] == ["debug/fw", "release/fw"]
    found = cases(report / "junit.xml")
    assert len(set(found)) == len(found) == 4
    for text in (outcome.stdout, (report / "report.html").read_text(), (report / "report.md").read_text()):
        assert "debug/fw" in text
        assert "release/fw" in text


@pytest.mark.parametrize("twice", [False, True])
def test_records_of_two_files_of_one_stem_make_different_test_cases(emu, firmware: Path, tmp_path: Path, twice: bool):
    records = []
    for name in ("debug", "release"):
        records.append(tmp_path / f"{name}.json")
        emu("run", firmware / name / "fw.elf", *ON_UNICORN, "--json", records[-1])
    records += [records[-1]] if twice else []
    emu("report", *records, "--junit", tmp_path / "junit.xml")
    found = cases(tmp_path / "junit.xml")
    assert len(set(found)) == len(found) == 2 * len(records)
    assert twice or {name for name, _ in found} == {f"fw.stm32h7-unicorn ({name}/fw)" for name in ("debug", "release")}


def test_the_user_names_runs(emu, firmware: Path, tmp_path: Path):
    record = tmp_path / "r.json"
    elfs = (firmware / "debug/fw.elf", firmware / "release/fw.elf")
    emu("run", *elfs, *ON_UNICORN, "--name", "before", "--name", "after", "--json", record)
    assert [run.model for run in read_runs(record)] == ["before", "after"]
    emu("run", elfs[0], *ON_UNICORN, "--name", "only", "--json", record)
    assert [run.model for run in read_runs(record)] == ["only"]
    one = emu("run", *elfs, *ON_UNICORN, "--name", "x")
    one.assert_one_clear_line("--name was given 1 times for 2 models: give one for each")
    emu("run", *elfs, *ON_UNICORN, "--name", "x", "--name", "x").assert_one_clear_line(
        "needs a different name for each"
    )
