"""Builds and runs are made once in a session, whatever tests and workers ask for them; figures are the same."""

import os
import shutil
from pathlib import Path

from projects import Project

from emu.cache import cached

TESTS = """
import pytest

@pytest.mark.parametrize("turn", range(3))
def test_har(emu_run, turn):
    assert emu_run("har", limit=1).ok

def test_more_inputs(emu_run):
    assert emu_run("har", limit=2).parity.inputs == 2

def test_no_test_sees_what_another_did_to_a_record(emu_run):
    emu_run("har", limit=1).parity.inputs = 77
    assert emu_run("har", limit=1).parity.inputs == 1
"""
COUNTING_RUNS = """
from pathlib import Path
from emu.run import Job

run = Job.run
def counting(job, *arguments, **named):
    with Path("runs.txt").open("a") as file:
        file.write(f"{job.request.name} {len(job.request.inputs)}\\n")
    return run(job, *arguments, **named)
Job.run = counting
"""
COUNTING_COMPILER = """#!/bin/sh
case "$*" in *firmware.elf*) echo linked >>"{log}" ;; esac
exec "{compiler}" "$@"
"""


def with_counters(project: Project) -> dict[str, str]:
    """Return the environment in which runs.txt counts the runs, and links.txt the builds."""
    project.write("test_har.py", TESTS)
    project.write("conftest.py", COUNTING_RUNS)
    (project.directory / "bin").mkdir()
    compiler = project.directory / "bin" / "arm-none-eabi-gcc"
    found = shutil.which("arm-none-eabi-gcc")
    compiler.write_text(COUNTING_COMPILER.format(log=project.directory / "links.txt", compiler=found))
    compiler.chmod(0o755)
    path = f"{project.directory / 'bin'}{os.pathsep}{os.environ['PATH']}"
    return {"PATH": path, "XDG_CACHE_HOME": str(project.directory / "cache")}


def test_two_workers_that_all_want_the_same_build_and_run_once(project: Project):
    environment = with_counters(project)
    session = project.pytest("--dist=each", "--tx=2*popen", **environment)
    assert session.code == 0, session.text
    assert "10 passed" in session.text
    assert (project.directory / "links.txt").read_text() == "linked\n"
    assert sorted((project.directory / "runs.txt").read_text().splitlines()) == ["har 1", "har 2"]


def test_figures_of_workers_are_those_of_a_serial_run(project: Project):
    project.write("test_har.py", TESTS)
    both = ("--emu-target=stm32h7-unicorn", "--emu-target=stm32h7-qemu")
    serial, parallel = project.pytest("-p", "no:xdist", *both), project.pytest("-n", "2", *both)
    assert set(parallel.outcomes.values()) == {"passed"}
    figures = {name: result.properties for name, result in serial.tests.items()}
    assert all(figures.values())
    assert {name: result.properties for name, result in parallel.tests.items()} == figures


def test_a_session_does_not_take_over_the_runs_of_another(project: Project):
    project.write("test_har.py", TESTS)
    project.write("conftest.py", COUNTING_RUNS)
    for _ in range(2):
        assert project.pytest("-k", "more_inputs").code == 0
    assert (project.directory / "runs.txt").read_text().splitlines() == ["har 2", "har 2"]


def test_what_was_not_made_whole_is_made_again(tmp_path: Path):
    def fail(directory: Path) -> None:
        (directory / "half").touch()
        raise ValueError

    def make(directory: Path) -> None:
        (directory / "whole").touch()

    for _ in range(2):
        try:
            cached("things", "key", fail, tmp_path)
        except ValueError:
            assert not (tmp_path / "things" / "key").exists()
    assert (cached("things", "key", make, tmp_path) / "whole").exists()
