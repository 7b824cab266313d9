"""Baselines: written once, reviewed in git, and compared with in every later session."""

import json
import re
from pathlib import Path

import pytest
from projects import Compile, Project

from emu.figures import BUDGETS

TEST = "def test_filters(emu_run): emu_run('filters.elf')\n"
UPDATE = ("--emu-baseline=figures.json", "--emu-update-baseline")
COMPARE = "--emu-baseline=figures.json"


@pytest.fixture
def written(project: Project, compile_program: Compile) -> dict:
    """The baseline of the program, compiled by default."""
    compile_program()
    project.write("test_filters.py", TEST)
    session = project.pytest(*UPDATE)
    assert session.code == 0, session.text
    assert "figures.json: figures of 1 run written, of 0 others kept" in session.text
    return read(project)


def read(project: Project) -> dict:
    return json.loads((project.directory / "figures.json").read_text())


def test_a_baseline_is_small_and_sorted_and_holds(project: Project, written: dict):
    text = (project.directory / "figures.json").read_text()
    assert text == json.dumps(written, indent=2, sort_keys=True) + "\n"
    assert len(text.splitlines()) < 80
    (figures,) = written["runs"].values()
    assert list(written["runs"]) == ["filters@stm32h7-unicorn"]
    assert set(figures) == set(BUDGETS)
    assert sum(figures["stack"]["parts"].values()) == figures["stack"]["value"]
    assert figures["heap"] == {"value": 320, "parts": {"allocate_history": 320}}
    assert figures["flash"]["parts"]["weights"] == 1000
    assert figures["static_ram"]["parts"]["samples"] == 500
    assert project.pytest(COMPARE).outcomes == {"test_filters": "passed"}


GROWN = {
    "deep": ({"WINDOW": 256 + 4096}, "stack peak grew by 4,096 B", r"filter  [\d,]+ B -> [\d,]+ B \(\+4,096 B\)"),
    "deeper": (
        {"WINDOW": 256 + 8192},
        "RAM peak grew by 8,192 B",
        r"filter \(stack\)  [\d,]+ B -> [\d,]+ B \(\+8,192 B\)",
    ),
    "long": ({"HISTORY": 400}, "heap peak grew by 80 B", r"allocate_history  320 B -> 400 B \(\+80 B\)"),
    "heavy": ({"WEIGHTS": 1400}, "flash grew by 400 B", r"weights  1,000 B -> 1,400 B \(\+400 B\)"),
    "wide": ({"SAMPLES": 900}, "static RAM grew by 400 B", r"samples  500 B -> 900 B \(\+400 B\)"),
    "wider": ({"SAMPLES": 1000}, "RAM peak grew by 500 B", r"samples  500 B -> 1,000 B \(\+500 B\)"),
    "slow": ({"TURNS": 500}, "instructions grew by ", r"spin  [\d,]+ -> [\d,]+ \("),
}
"""A change in the program, and the message that it must cause."""


@pytest.mark.usefixtures("written")
def test_what_grew_fails_and_names_who(project: Project, compile_program: Compile):
    for name, (change, *_) in GROWN.items():
        compile_program(name, **change)
    tests = (f"def test_{name}(emu_run): emu_run('{name}.elf', name='filters')\n" for name in GROWN)
    project.write("test_grown.py", "".join(tests))
    session = project.pytest(COMPARE, "test_grown.py")
    for name, (_, headline, who) in GROWN.items():
        failed = session.tests[f"test_{name}"]
        failed.assert_failed("allowed increase: 0", "figures.json; accept it with --emu-update-baseline")
        assert re.search(rf"^{headline}.*\n +{who}", failed.text, re.MULTILINE), failed.text


@pytest.mark.usefixtures("written")
def test_what_shrank_holds(project: Project, compile_program: Compile):
    compile_program(WINDOW=64, HISTORY=32, WEIGHTS=100, SAMPLES=100, TURNS=10)
    assert project.pytest(COMPARE).outcomes == {"test_filters": "passed"}


def test_how_much_a_figure_may_grow(project: Project, compile_program: Compile, written: dict):
    figures = written["runs"]["filters@stm32h7-unicorn"]
    percent = 100 * 400 / figures["flash"]["value"]
    compile_program(WINDOW=256 + 512, WEIGHTS=1400)
    for allowed, outcome in {
        f"stack=512 B,heap=0,flash={percent + 0.01:.2f}%": "passed",
        f"flash={percent - 0.01:.2f}%": "failed",
        "stack=511": "failed",
    }.items():
        session = project.pytest(COMPARE, f"--emu-fail-on-increase={allowed}")
        assert session.outcomes == {"test_filters": outcome}, allowed
    project.write("pytest.ini", "[pytest]\nemu_baseline = figures.json\nemu_fail_on_increase = stack=1 KB,flash=50%\n")
    assert project.pytest().outcomes == {"test_filters": "passed"}
    project.write("pytest.ini", "[pytest]\nemu_baseline = figures.json\n")
    assert project.pytest().outcomes == {"test_filters": "failed"}


@pytest.mark.usefixtures("written")
def test_a_figure_that_is_lost_fails(project: Project, compile_program: Compile):
    compile_program("filters", "-s")
    project.pytest(COMPARE).tests["test_filters"].assert_failed("heap peak: was 320 B, and is not measured any more")


def test_a_run_that_is_not_in_the_baseline_fails_until_it_is_added(
    project: Project, compile_program: Compile, written: dict
):
    compile_program("wide", WINDOW=1000)
    project.write("test_wide.py", TEST.replace("filters", "wide"))
    session = project.pytest(COMPARE)
    session.tests["test_wide"].assert_failed("wide@stm32h7-unicorn is not in", "add it with --emu-update-baseline")
    added = project.pytest(*UPDATE, "test_wide.py")
    assert "figures of 1 run written, of 1 other kept" in added.text
    assert read(project)["runs"].keys() == {"filters@stm32h7-unicorn", "wide@stm32h7-unicorn"}
    assert read(project)["runs"]["filters@stm32h7-unicorn"] == written["runs"]["filters@stm32h7-unicorn"]
    assert set(project.pytest(COMPARE).outcomes.values()) == {"passed"}


def test_workers_write_the_same_baseline(project: Project, compile_program: Compile, written: dict):
    compile_program("wide", WINDOW=1000)
    project.write("test_wide.py", TEST.replace("filters", "wide"))
    (project.directory / "figures.json").unlink()
    assert project.pytest(*UPDATE, "-n", "2").code == 0
    parallel = read(project)
    (project.directory / "figures.json").unlink()
    assert project.pytest(*UPDATE).code == 0
    assert parallel == read(project)
    assert parallel["runs"]["filters@stm32h7-unicorn"] == written["runs"]["filters@stm32h7-unicorn"]


def test_runs_that_fault_or_are_not_checked_are_in_no_baseline(project: Project, compile_program: Compile):
    compile_program("faulty", MAIN="*(volatile int *)0x60000000 = 1;")
    compile_program("unchecked")
    project.write(
        "test_it.py",
        "def test_faulty(emu_run): emu_run('faulty.elf')\n"
        "def test_unchecked(emu_run): emu_run('unchecked.elf', check=False)\n",
    )
    assert project.pytest(*UPDATE).outcomes == {"test_faulty": "failed", "test_unchecked": "passed"}
    assert read(project)["runs"] == {}


def test_different_firmware_of_one_name_needs_names(project: Project, compile_program: Compile):
    compile_program()
    (project.directory / "other").mkdir()
    compile_program("other/filters", WINDOW=64)
    two = "def test_two(emu_run):\n    emu_run('filters.elf')\n    emu_run('other/filters.elf'{name})\n"
    project.write("test_it.py", two.format(name=""))
    session = project.pytest(*UPDATE)
    assert session.code == pytest.ExitCode.USAGE_ERROR
    assert "different firmware is called filters@stm32h7-unicorn" in session.text
    assert not (project.directory / "figures.json").exists()
    project.write("test_it.py", two.format(name=", name='others'"))
    assert project.pytest(*UPDATE).code == 0
    assert read(project)["runs"].keys() == {"filters@stm32h7-unicorn", "others@stm32h7-unicorn"}


@pytest.mark.parametrize(
    ("arguments", "file", "says"),
    [
        ((COMPARE,), None, "figures.json: no such baseline; write it with --emu-update-baseline"),
        ((COMPARE,), "[1, 2]", "figures.json: not a baseline or a run record"),
        (
            (COMPARE,),
            '{"schema": 1, "runs": {"a@b": {"stack": 3}}}',
            "a baseline or a run record: runs.a@b.stack",
        ),
        (("--emu-update-baseline",), None, "--emu-update-baseline needs --emu-baseline FILE"),
        (("--emu-baseline=none/f.json", "--emu-update-baseline"), None, "f.json: no such directory"),
        (("--emu-fail-on-increase=stack=0",), None, "--emu-fail-on-increase needs --emu-baseline FILE"),
        ((*UPDATE, "--emu-fail-on-increase=stak=0"), None, '"stak=0" of "stak=0" is not FIGURE=INCREASE'),
    ],
)
def test_a_baseline_that_cannot_be(project: Project, arguments: tuple[str, ...], file: str | None, says: str):
    project.write("test_filters.py", TEST)
    if file is not None:
        project.write("figures.json", file)
    session = project.pytest(*arguments)
    assert session.code == pytest.ExitCode.USAGE_ERROR
    assert says in session.text
    assert "Traceback" not in session.text
    assert (project.directory / "figures.json").exists() == (file is not None)


@pytest.mark.usefixtures("written")
def test_a_baseline_is_replaced_and_never_half_written(project: Project, compile_program: Compile):
    held, file = project.directory / "held.json", project.directory / "figures.json"
    held.hardlink_to(file)
    before = file.read_bytes()
    compile_program(WINDOW=512)
    assert project.pytest(*UPDATE).code == 0
    assert held.read_bytes() == before
    assert file.read_bytes() != before


def test_a_baseline_that_cannot_be_written(project: Project, compile_program: Compile, tmp_path: Path):
    compile_program()
    project.write("test_filters.py", TEST)
    session = project.pytest(f"--emu-baseline={tmp_path}", "--emu-update-baseline")
    assert session.code == pytest.ExitCode.USAGE_ERROR
    assert "was not written: " in session.text
    assert "Traceback" not in session.text
