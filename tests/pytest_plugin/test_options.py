"""Targets: how they are chosen, and the result of a test whose target cannot run here."""

from pathlib import Path

import pytest
from projects import Compile, Project

from emu.targets import load_targets

TEST = "def test_target(emu_target): print('on', emu_target.name)\n"
ROOT = Path(__file__).parents[2]


def ids(text: str) -> list[str]:
    """Return the targets that tests would run on."""
    return [line.partition("[")[2].rstrip("]") for line in text.splitlines() if "::test_target[" in line]


def collected(project: Project, *arguments: str) -> list[str]:
    return ids(project.pytest("--collect-only", "-q", *arguments).text)


def test_targets_are_chosen_by_option_then_by_setting(project: Project):
    project.write("test_it.py", TEST)
    assert collected(project) == ["stm32h7-unicorn"]
    assert collected(project, "--emu-target", "stm32h7-qemu") == ["stm32h7-qemu"]
    both = ("--emu-target=stm32h7-qemu", "--emu-target=stm32h7-unicorn", "--emu-target=stm32h7-qemu")
    assert collected(project, *both) == ["stm32h7-qemu", "stm32h7-unicorn"]
    assert collected(project, "--emu-target=all") == list(load_targets())
    project.write("pytest.ini", "[pytest]\nemu_target = stm32h7-qemu stm32h7-unicorn\n")
    assert collected(project) == ["stm32h7-qemu", "stm32h7-unicorn"]
    assert collected(project, "--emu-target=stm32h7-unicorn") == ["stm32h7-unicorn"]
    project.write(
        "test_it.py",
        f"import pytest\n@pytest.mark.parametrize('emu_target', ['stm32h7-unicorn'], indirect=True)\n{TEST}",
    )
    assert collected(project, "--emu-target=all") == ["stm32h7-unicorn"]


def test_the_settings_of_a_project_come_after_those_of_pytest(project: Project, compile_program: Compile):
    project.write("emu.toml", 'targets = ["stm32h7-qemu"]\n')
    project.write("test_it.py", TEST)
    assert collected(project) == ["stm32h7-qemu"]
    project.write("pytest.ini", "[pytest]\nemu_target = stm32h7-unicorn\n")
    assert collected(project) == ["stm32h7-unicorn"]
    compile_program("filters")
    project.write("emu.toml", "[limits]\nstack = 8\n")
    project.write("test_it.py", "def test_it(emu_run): emu_run('filters.elf')\n")
    session = project.pytest()
    assert session.outcomes == {"test_it": "failed"}
    assert "set by limits.stack of" in session.text
    project.write("pytest.ini", "[pytest]\nemu_limit_stack = 64 KB\n")
    assert project.pytest().outcomes == {"test_it": "passed"}
    project.write("emu.toml", "[limits]\nflush = 8\n")
    assert 'there is no figure "flush"' in project.pytest().text


@pytest.mark.parametrize("workers", [(), ("-n", "1")])
def test_a_target_that_does_not_exist(project: Project, workers: tuple[str, ...]):
    project.write("test_it.py", TEST)
    session = project.pytest("--emu-target=nosuch", *workers)
    assert session.code == pytest.ExitCode.USAGE_ERROR
    assert 'there is no target "nosuch"; known targets: ' in session.text
    assert "Traceback" not in session.text


RUNS = "def test_run(emu_run): emu_run('har', limit=1)\ndef test_build(emu_build): emu_build('har')\n"


def test_what_is_missing_skips_a_test_or_fails_it(project: Project):
    project.write("test_it.py", TEST + RUNS)
    (project.directory / "empty").mkdir()
    nothing = {"PATH": str(project.directory / "empty"), "XDG_CACHE_HOME": str(project.directory / "cache")}
    emulator = project.pytest("--emu-target=stm32h7-qemu", "-k", "target", **nothing)
    assert emulator.outcomes == {"test_target[stm32h7-qemu]": "skipped"}
    assert "qemu-system-arm is not installed; install" in emulator.tests["test_target[stm32h7-qemu]"].text
    compiler = project.pytest("-k", "run or build", **nothing)
    assert compiler.outcomes == {"test_run": "skipped", "test_build": "skipped"}
    assert all("arm-none-eabi-gcc is not installed" in result.text for result in compiler.tests.values())

    strict = project.pytest("--emu-strict", **nothing)
    assert strict.outcomes == {"test_target": "passed", "test_run": "failed", "test_build": "failed"}
    strict.tests["test_run"].assert_failed("arm-none-eabi-gcc is not installed; install it with: ")
    project.write("pytest.ini", "[pytest]\nemu_strict = true\n")
    assert set(project.pytest("--emu-target=stm32h7-qemu", **nothing).outcomes.values()) == {"error"}


def test_firmware_that_is_built_for_a_test(project: Project):
    project.write(
        "test_it.py",
        "def test_build(emu_build, emu_run):\n"
        "    elf = emu_build('har', input_rows=4)\n"
        "    assert elf.read_bytes()[:4] == b'\\x7fELF'\n"
        "    assert emu_build('har', input_rows=4) == elf != emu_build('har', input_rows=5)\n"
        "    run = emu_run(elf, name='exercises')\n"
        "    assert (run.model, run.ok, run.parity) == ('exercises', True, None)\n",
    )
    assert project.pytest().outcomes == {"test_build": "passed"}


def test_this_repository_has_a_shorter_name_for_the_option(project: Project):
    arguments = (
        "--collect-only",
        "-q",
        str(ROOT / "tests" / "targets"),
        f"--rootdir={ROOT}",
        f"-c{ROOT / 'pyproject.toml'}",
    )
    text = project.pytest("--target=stm32h7-qemu", "--emu-target=stm32h7-unicorn", *arguments).text
    tests = [line for line in text.splitlines() if "::" in line]
    assert tests
    assert {target for line in tests for target in load_targets() if target in line} == {
        "stm32h7-qemu",
        "stm32h7-unicorn",
    }


def test_a_project_that_uses_none_of_it_loads_none_of_it(project: Project):
    project.write("test_it.py", "def test_nothing(): pass\n")
    project.write(
        "conftest.py",
        "import sys\ndef pytest_unconfigure(config):\n"
        "    print('loaded:', sorted(name for name in sys.modules if name.partition('.')[0] == 'emu'))\n"
        "    heavy = ('numpy', 'unicorn', 'pydantic', 'elftools', 'capstone', 'rich', 'torch')\n"
        "    print('heavy:', [name for name in heavy if name in sys.modules])\n",
    )
    session = project.pytest("-s")
    assert session.outcomes == {"test_nothing": "passed"}
    assert "heavy: []" in session.text
    loaded = ["emu", "emu.emulators", "emu.figures", "emu.pytest_plugin", "emu.pytest_plugin.options"]
    assert f"loaded: {loaded}" in session.text
