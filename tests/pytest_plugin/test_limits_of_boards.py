"""The same tests on a board and on the machine that builds: limits count on the board, everything else on both."""

import json

from projects import Project

SAME_TESTS = """
import pytest

@pytest.mark.limit_stack("2 KB")
@pytest.mark.limit_flash("96 KB")
@pytest.mark.limit_instructions(10_000_000)
@pytest.mark.parity(atol=5e-6)
@pytest.mark.no_memory_errors
def test_within(emu_run): emu_run("har", limit=1)

@pytest.mark.limit_stack("16 B")
def test_beyond(emu_run): emu_run("har", limit=1)

@pytest.mark.parity(atol=1e-9)
def test_too_exact(emu_run): emu_run("har", limit=1)
"""
OVERRUN = 'int main(void) { int *block = malloc(12); return block[atoi("3")]; }'


def test_limits_are_of_boards(project: Project):
    project.write("test_it.py", SAME_TESTS)
    project.write("pytest.ini", "[pytest]\nemu_limit_ram = 32 KB\n")
    tests = project.pytest("--emu-target=stm32h7-unicorn", "--emu-target=host-native").tests
    assert {name: result.outcome for name, result in tests.items()} == {
        "test_within": "passed",
        "test_within[host-native]": "passed",
        "test_beyond": "failed",
        "test_beyond[host-native]": "passed",
        "test_too_exact": "failed",
        "test_too_exact[host-native]": "failed",
    }
    stack = tests["test_within[host-native]"].properties["har@host-native.stack"]
    assert stack.startswith("not measured: a program for this machine")


def test_a_baseline_has_figures_of_boards_only(project: Project):
    project.write("test_it.py", 'def test_har(emu_run): emu_run("har", limit=1)\n')
    targets = ("--emu-target=stm32h7-unicorn", "--emu-target=host-native", "--emu-baseline=figures.json")
    assert project.pytest(*targets, "--emu-update-baseline").code == 0
    assert list(json.loads((project.directory / "figures.json").read_text())["runs"]) == ["har@stm32h7-unicorn"]
    assert project.pytest(*targets).code == 0


COMPILES = """
import subprocess
from emu.resources import resource
from emu.targets import find_target

def test_overrun(emu_run, tmp_path):
    port, program = resource("runtime") / "port", tmp_path / "overrun.elf"
    sources = ["overrun.c", port / "host" / "harness.c"]
    flags = find_target("host-native").board.build.flags
    subprocess.run(["gcc", *flags, "-g", f"-I{port}", *sources, "-o", program], check=True)
    emu_run(program)
"""


def test_an_error_that_a_sanitizer_finds_fails_the_test_that_ran_it(project: Project):
    project.write("overrun.c", f"#include <stdlib.h>\n{OVERRUN}\n")
    project.write("test_it.py", COMPILES)
    test = project.pytest("--emu-target=host-native").tests["test_overrun[host-native]"]
    test.assert_failed("heap out of bounds read: read of 4 bytes", "in main", "overrun.c:2")
