"""One Renode serves a whole command or pytest session, in front of a program that speaks Renode's protocol.

The program keeps a list of its starts. That a cleared Renode counts as a new one does, only Renode can show.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest
import stand_in
import xtensa_builds
from builds import SOURCES, build

from emu.firmware import Firmware
from emu.instruments import Instruments
from emu.machines import Limits
from emu.machines.renode import RenodeMachine
from emu.machines.renode.process import RenodeProcess
from emu.machines.renode.renodes import Renodes
from emu.record import Run
from emu.run import RunOptions, execute, plan, read_request
from emu.targets import Target, find_target, load_board

TARGET = find_target("stm32h7-renode")
LIMITS = Limits(instructions=2_000_000, seconds=60)
WITH_FPU = ("-Wl,--wrap=main", str(SOURCES / "fpu.c"))
PACKAGE = Path(__file__).parents[2]


@pytest.fixture
def renode(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    command = stand_in.command_in(tmp_path / "bin")
    stand_in.use(command, monkeypatch)
    return command


@pytest.fixture
def renodes() -> Iterator[Renodes]:
    with Renodes() as renodes:
        yield renodes


def built(directory: Path, *flags: str) -> Path:
    directory.mkdir()
    return build(directory, "stacks.c", *WITH_FPU, *flags)


def run_in(renodes: Renodes, elf: Path, target: Target = TARGET, *, stack_peak: bool = False) -> tuple[Any, ...]:
    """Return the figures of a run."""
    instruments = Instruments(limits=LIMITS, stack_peak=stack_peak)
    with RenodeMachine(Firmware.load(elf, target), target, instruments, renodes) as machine:
        stop = machine.boot()
        while stop.reason == "yield":
            stop = machine.resume()
        measured = machine.measure()
    return (stop.reason, measured.instructions.total, measured.stack_touched_bytes, measured.stack_peak_bytes,
            [(fault.kind, fault.line) for fault in measured.faults], measured.output)  # fmt: skip


def execute_all(jobs: list[tuple[Path, Target]]) -> list[Run]:
    options = RunOptions(limits=LIMITS)
    planned = [job for elf, target in jobs for job in plan([read_request(str(elf))], [target], options)]
    return execute(planned, lambda _name: _Silent(), lambda _run, _target: None, lambda _runs: None)


class _Silent:
    def __enter__(self):
        return lambda _done, _total: None

    def __exit__(self, *_: object) -> None:
        pass


# ---- one start -------------------------------------------------------------------------------------------------------


def test_a_command_starts_one_renode_for_all_its_runs_and_boards(tmp_path: Path, renode: Path) -> None:
    text = Path("targets/stm32h7.toml")
    board = (PACKAGE / text).read_text().replace('name = "stm32h7"', 'name = "small"').replace('"512 KB"', '"256 KB"')
    (tmp_path / "small.toml").write_text(board.replace("../linker", str(PACKAGE / "linker")))
    small = Target(load_board(tmp_path / "small.toml"), "renode")
    first, second = (built(tmp_path / name, f"-DRUNS=deep({levels})") for name, levels in (("one", 5), ("two", 20)))
    jobs = [(first, TARGET), (second, TARGET), (first, small)]
    runs = execute_all(jobs)
    assert stand_in.starts(renode) == 1
    alone = [execute_all([job])[0] for job in jobs]
    assert stand_in.starts(renode) == 1 + len(jobs)
    for ours, other in zip(runs, alone, strict=True):
        assert ours == other
    assert runs[0].instructions.total != runs[1].instructions.total
    assert [run.target for run in runs] == [TARGET.name, TARGET.name, "small-renode"]


def session(directory: Path, *options: str) -> "subprocess.CompletedProcess[str]":
    """Run pytest on the tests in ``directory``, with the plugin."""
    installed = any(each.value == "emu.pytest_plugin" for each in entry_points(group="pytest11"))
    plugin = [] if installed else ["-p", "emu.pytest_plugin"]
    command = [sys.executable, "-m", "pytest", *plugin, "--emu-target=stm32h7-renode", "--rootdir=.", "-q", *options]
    environment = os.environ | {"PYTHONPATH": str(PACKAGE)}
    return subprocess.run(command, cwd=directory, env=environment, capture_output=True, text=True, check=False)


def test_a_pytest_session_of_twenty_runs_starts_one_renode(tmp_path: Path, renode: Path) -> None:
    build(tmp_path, "stacks.c", *WITH_FPU)
    (tmp_path / "test_all.py").write_text(
        "import pytest\n\n"
        "@pytest.mark.parametrize('number', range(20))\n"
        "def test_run(emu_run, number):\n"
        "    assert emu_run('stacks.elf', name=f'run{number}').instructions.total\n"
    )
    ran = session(tmp_path)
    assert "20 passed" in ran.stdout, ran.stdout + ran.stderr
    assert stand_in.starts(renode) == 1


def test_both_boards_and_the_questions_to_the_xtensas_core_share_one(
    tmp_path: Path, renode: Path, renodes: Renodes
) -> None:
    if stand_in.missing_for_xtensa():
        pytest.skip(stand_in.missing_for_xtensa())
    arm, xtensa = build(tmp_path, "stacks.c", *WITH_FPU), xtensa_builds.build(tmp_path, "prints.c")
    on_xtensa = find_target("esp32s3-renode")
    first, printed, again = run_in(renodes, arm), run_in(renodes, xtensa, on_xtensa), run_in(renodes, arm)
    assert stand_in.starts(renode) == 1
    assert first == again
    assert printed == run_in(renodes, xtensa, on_xtensa)
    assert printed[-1] != ""


def test_nothing_of_one_run_is_in_the_next(tmp_path: Path, renode: Path, renodes: Renodes) -> None:
    """The first reads nothing, which is a line in the log, watches the stack and leaves hooks."""
    bad, good = built(tmp_path / "bad", "-DRUNS=(*(volatile int *)0x90000000)"), built(tmp_path / "good")
    with Renodes() as others:
        alone = run_in(others, good)
    assert run_in(renodes, bad, stack_peak=True)[4][0][0] == "unmapped_read"
    assert run_in(renodes, good) == alone
    assert stand_in.starts(renode) == 2


# ---- a Renode that is of no use any more -----------------------------------------------------------------------------


def test_a_renode_that_died_between_two_runs_is_started_anew(tmp_path: Path, renode: Path, renodes: Renodes) -> None:
    elf = build(tmp_path, "stacks.c", *WITH_FPU)
    first = run_in(renodes, elf)
    free = renodes.take()
    renodes.give_back(free)
    os.killpg(free.process_id, signal.SIGKILL)
    time.sleep(0.2)
    assert run_in(renodes, elf) == first
    assert stand_in.starts(renode) == 2


def test_a_renode_that_was_lost_in_a_run_is_started_anew(tmp_path: Path, renode: Path, renodes: Renodes) -> None:
    elf = build(tmp_path, "stacks.c", *WITH_FPU)
    firmware = Firmware.load(elf, TARGET)
    with RenodeMachine(firmware, TARGET, Instruments(limits=LIMITS), renodes) as machine:
        stop = machine.boot()
        os.killpg(machine.process_id, signal.SIGKILL)
        with pytest.raises(Exception, match="Renode"):
            machine.read(TARGET.board.ram[1].start, 4)
    assert stop.fault is None
    assert run_in(renodes, elf)[0] == "exit"
    assert stand_in.starts(renode) == 2


@pytest.mark.parametrize("how", ["refuse Clear", 'refuse log "emu', "late log"])
def test_a_renode_that_cannot_be_cleared_is_ended(
    tmp_path: Path, renode: Path, renodes: Renodes, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    monkeypatch.setenv("MISBEHAVE", how)
    elf = build(tmp_path, "stacks.c", *WITH_FPU)
    first = run_in(renodes, elf)
    assert run_in(renodes, elf) == first
    assert first[4] == []
    assert stand_in.starts(renode) == (1 if how == "late log" else 2)


def test_a_renode_that_is_still_at_work_is_not_lent_again(
    renode: Path, renodes: Renodes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    process = renodes.take()
    monkeypatch.setattr("emu.machines.renode.robot_server.select.select", interrupted)
    with pytest.raises(KeyboardInterrupt):
        process.robot.command("version", 5)
    monkeypatch.undo()
    renodes.give_back(process)
    assert stand_in.has_ended(process.process_id)
    monkeypatch.setenv("EMU_RENODE", str(renode))
    assert renodes.take().process_id != process.process_id


def test_another_renode_is_started_if_the_user_names_another(
    tmp_path: Path, renode: Path, renodes: Renodes, monkeypatch: pytest.MonkeyPatch
) -> None:
    renodes.give_back(renodes.take())
    other = stand_in.command_in(tmp_path / "other")
    stand_in.use(other, monkeypatch)
    assert renodes.take().path == other
    assert (stand_in.starts(renode), stand_in.starts(other)) == (1, 1)


# ---- nothing stays ---------------------------------------------------------------------------------------------------


def test_no_process_and_no_file_is_left_whoever_has_it(renode: Path) -> None:
    with Renodes() as renodes:
        lent, free = renodes.take(), renodes.take()
        renodes.give_back(free)
        made: list[RenodeProcess] = [lent, free]
    assert stand_in.starts(renode) == 2
    assert all(stand_in.has_ended(each.process_id) for each in made)
    assert not any(each.directory.parent.exists() for each in made)


def test_an_interrupted_session_leaves_no_renode(tmp_path: Path, renode: Path) -> None:
    build(tmp_path, "stacks.c", *WITH_FPU)
    (tmp_path / "test_all.py").write_text(
        "import os\n\n"
        "def test_run(emu_run):\n"
        "    emu_run('stacks.elf')\n"
        "    os.system('ps -ww -eo pgid,args')\n"
        "    raise KeyboardInterrupt\n"
    )
    ran = session(tmp_path, "-s")
    ours = [int(line.split()[0]) for line in ran.stdout.splitlines() if str(renode) in line]
    assert ours, ran.stdout + ran.stderr
    assert all(map(stand_in.has_ended, ours))
