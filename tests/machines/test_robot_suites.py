"""The Robot Framework suites in front of a program that speaks Renode's protocol, and what becomes of their results.

That the suites pass here shows that they say what they mean; what Renode does, only Renode can show.
"""

import sys
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest

from emu.errors import EmuError, InputError, MissingToolError
from emu.machines.qemu import qemu_version
from emu.machines.qemu.lx7 import QemuLx7
from emu.reports.robot import add_robot_results
from emu.robot import prepare, run_suites
from emu.targets import find_target
from emu.toolchains import find_toolchain

HERE = Path(__file__).parent
TARGET, XTENSA = find_target("stm32h7-renode"), find_target("esp32s3-renode")
OURS = (
    '<testsuites name="emu" tests="3" failures="1" errors="0"><testsuite name="kws" tests="3" failures="1" errors="0"/>'
    "</testsuites>"
)


def script(path: Path, command: str) -> None:
    path.write_text(f'#!/bin/sh\n"{sys.executable}" {command} "$@"\n')
    path.chmod(0o755)


@pytest.fixture
def renode(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with Renode's two commands in it, and rebot on the PATH."""
    pytest.importorskip("robot", reason="Robot Framework is not installed: pip install robotframework")
    directory = tmp_path / "renode"
    directory.mkdir()
    script(directory / "renode", f'"{HERE / "fake_renode.py"}"')
    script(directory / "renode-test", f'"{HERE / "fake_renode_test.py"}"')
    script(directory / "rebot", "-m robot.rebot")
    monkeypatch.setenv("EMU_RENODE", str(directory / "renode"))
    monkeypatch.setenv("PATH", f"{directory}:/usr/bin:/bin")
    monkeypatch.delenv("MISBEHAVE", raising=False)
    return directory


def test_the_suites_pass_and_their_results_join_ours(tmp_path: Path, renode: Path) -> None:  # noqa: ARG001
    results = run_suites([TARGET], 1, tmp_path / "results")
    assert results.passed
    suites = ElementTree.fromstring(add_robot_results(OURS, results.xunit))
    names = [case.get("name") for case in suites.iter("testcase")]
    assert "Words Are Recognised As In PyTorch" in names
    assert suites.get("tests") == str(3 + len(names))
    assert suites.get("failures") == "1"


def test_the_suites_pass_on_the_xtensa(tmp_path: Path, renode: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: ARG001
    monkeypatch.setenv("MISBEHAVE", "right signs")  # the stand-in takes long to negate
    try:
        find_toolchain("xtensa")
        qemu_version(QemuLx7)
    except MissingToolError as missing:
        pytest.skip(str(missing))
    monkeypatch.setenv("PYTHONPATH", str(HERE.parents[1]))
    results = run_suites([XTENSA], 1, tmp_path / "results")
    log = tmp_path / "results" / XTENSA.name
    assert results.passed, sorted(log.iterdir())


def test_suites_that_fail(tmp_path: Path, renode: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: ARG001
    monkeypatch.setenv("MISBEHAVE", "refuse SetSeed")
    results = run_suites([TARGET], 1, tmp_path / "results")
    assert not results.passed
    suites = ElementTree.fromstring(add_robot_results(OURS, results.xunit))
    failures = [failure.get("message", "") for failure in suites.iter("failure")]
    assert failures
    assert all("Parameters did not match the signature" in failure for failure in failures)
    assert suites.get("failures") == str(1 + len(failures))


def test_suites_without_a_result(tmp_path: Path, renode: Path) -> None:
    (renode / "renode-test").write_text("#!/bin/sh\nexit 7\n")
    with pytest.raises(EmuError, match=r"exit code 7 and without .*robot_output\.xml"):
        run_suites([TARGET], 1, tmp_path / "results")


@pytest.mark.parametrize("name", ["renode-test", "rebot"])
def test_commands_that_are_missing(tmp_path: Path, renode: Path, name: str) -> None:
    (renode / name).unlink()
    with pytest.raises(MissingToolError, match=name):
        run_suites([TARGET], 1, tmp_path / "results")


def test_a_board_that_cannot_print(tmp_path: Path) -> None:
    board = TARGET.board.model_copy(update={"peripherals": ()})
    with pytest.raises(InputError, match="the board file of stm32h7 has no peripheral with an output"):
        prepare(replace(TARGET, board=board), 1, tmp_path / "bench")


def test_a_target_on_another_emulator(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="stm32h7-unicorn: the Robot suites run on Renode targets only"):
        run_suites([find_target("stm32h7-unicorn")], 1, tmp_path)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "No such file"),
        ("<oh", "not what `rebot --xunit` writes"),
        ("<html/>", "holds <html>"),
        ('<testsuite tests="1e999 B"/>', "not what `rebot --xunit` writes"),
    ],
)
def test_results_that_are_something_else(tmp_path: Path, text: str | None, said: str) -> None:
    path = tmp_path / "robot.xml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(InputError, match=said):
        add_robot_results(OURS, path)
