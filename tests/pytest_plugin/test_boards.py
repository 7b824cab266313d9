"""A board of the project's own: its targets are chosen like all others."""

import shutil
from pathlib import Path

import pytest
from projects import Project

EXAMPLE = Path(__file__).parents[2] / "docs/examples/stm32f746"
TEST = """
def test_exercises(emu_run, emu_target):
    run = emu_run("har", limit=1)
    assert (run.target, run.parity.argmax_agreement) == (emu_target.name, 1.0)
"""
BOTH = {"test_exercises[stm32f746-unicorn]": "passed", "test_exercises[stm32f746-qemu]": "passed"}


@pytest.fixture
def own_board(project: Project) -> Path:
    project.write("test_it.py", TEST)
    return Path(shutil.copytree(EXAMPLE, project.directory / "boards")) / "stm32f746.toml"


@pytest.mark.parametrize("workers", [(), ("-n", "1")])
@pytest.mark.usefixtures("own_board")
def test_a_board_of_the_settings(project: Project, workers: tuple[str, ...]):
    project.write(
        "pyproject.toml",
        "[tool.pytest.ini_options]\n"
        'emu_boards = ["boards/stm32f746.toml"]\nemu_target = ["stm32f746-unicorn", "stm32f746-qemu"]\n',
    )
    assert project.pytest(*workers).outcomes == BOTH


@pytest.mark.parametrize("workers", [(), ("-n", "1")])
def test_a_board_of_the_command_line(project: Project, own_board: Path, workers: tuple[str, ...]):
    targets = ("--emu-target=stm32f746-unicorn", "--emu-target=stm32f746-qemu")
    board = f"--emu-board={own_board.relative_to(project.directory)}"
    assert project.pytest(board, *targets, *workers).outcomes == BOTH
    project.write("pytest.ini", "[pytest]\nemu_boards = boards/stm32f746.toml\n")
    assert project.pytest(board, *targets, *workers).outcomes == BOTH  # one board, given twice


def test_a_board_that_cannot_be(project: Project, own_board: Path):
    own_board.with_name("stm32f746.ld").unlink()
    session = project.pytest("--emu-board=boards/stm32f746.toml")
    assert session.code == pytest.ExitCode.USAGE_ERROR
    assert "stm32f746.toml: build.linker_script: there is no file" in session.text
    assert "Traceback" not in session.text
    session = project.pytest("--emu-board=none.toml", "-n", "1")
    assert session.code == pytest.ExitCode.USAGE_ERROR
    assert "none.toml: No such file or directory" in session.text
