"""Records of real runs, made once, and hand-made records for cases that no run produces."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hostile import hostile

from emu.inputs import EvaluationInputs
from emu.record import Firmware, Memory, Run, read_run_file
from emu.run import RunOptions, run_firmware
from emu.targets import find_target

HERE = Path(__file__).parent
FIRMWARE = HERE.parent / "firmware"
TARGET = "stm32h7-unicorn"


def emu(*arguments: str | Path) -> "subprocess.CompletedProcess[str]":
    """Run the command line as a user does."""
    command = [sys.executable, "-m", "emu", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)


def compiled(source: Path, elf: Path, *flags: str) -> Path:
    """Return ``elf``, made of ``source`` and the tests' startup code."""
    own = [*find_target(TARGET).board.build.flags, "-O1", "-nostartfiles", "-Wl,--no-warn-rwx-segments", *flags]
    sources = [f"-T{FIRMWARE / 'test.ld'}", str(FIRMWARE / "startup.c"), str(source)]
    subprocess.run(["arm-none-eabi-gcc", *own, *sources, "-o", str(elf)], check=True)
    return elf


@pytest.fixture(scope="session")
def written(tmp_path_factory) -> Path:
    """The directory that `emu run --report` wrote about both demos."""
    directory = tmp_path_factory.mktemp("reports") / "made" / "here"
    options = ("--profile", "--coverage", "--memcheck", "--traffic", "--limit", "2", "--report", directory)
    outcome = emu("run", "kws", "har", "-t", TARGET, *options)
    assert outcome.returncode == 0, outcome
    return directory


@pytest.fixture(scope="session")
def demos(written: Path) -> list[Run]:
    return read_run_file(written / "run.json").runs


@pytest.fixture(scope="session")
def faulty(tmp_path_factory) -> Run:
    """A firmware that leaks, frees twice and writes to unmapped memory."""
    directory = tmp_path_factory.mktemp("faulty")
    elf = compiled(HERE / "leaks_and_faults.c", directory / "faulty.elf", "-g")
    options = ("--memcheck", "--profile", "--json", directory / "r.json")
    assert emu("run", elf, "-t", TARGET, *options).returncode == 1
    (run,) = read_run_file(directory / "r.json").runs
    return run


@pytest.fixture(scope="session", params=["deeper", "rock"])
def recursion(request: pytest.FixtureRequest, tmp_path_factory) -> Run:
    """A firmware whose calls never end: of one function, or of three in turn."""
    directory = tmp_path_factory.mktemp("recursion")
    elf = compiled(HERE / "recursions.c", directory / "endless.elf", "-g", f"-DCALL={request.param}")
    options = ("--profile", "--coverage", "--memcheck", "--json", directory / "r.json")
    assert emu("run", elf, "-t", TARGET, *options).returncode == 1
    (run,) = read_run_file(directory / "r.json").runs
    return run


@pytest.fixture(scope="session")
def stripped(tmp_path_factory) -> Path:
    """A firmware without symbols, which ends its run by itself."""
    directory = tmp_path_factory.mktemp("stripped")
    source = directory / "exits.c"
    source.write_text('int main(void) { __asm__ volatile("movs r0, #0x18; ldr r1, =0x20026; bkpt #0xab"); return 0; }')
    return compiled(source, directory / "stripped.elf", "-s")


def summed(directory: Path, fault: str) -> Run:
    """Run firmware that answers the sum and the sum of squares of an input (4, 3); some sums exceed float32."""
    x = np.zeros((4, 4, 3), np.float32)
    x[1, 0] = 1e30  # its square is infinite
    x[3] = 3e38  # their sum is infinite, too
    elf = compiled(FIRMWARE / "mailbox.c", directory / "mailbox.elf", f"-DFAULT={fault}")
    inputs = EvaluationInputs(x, logits64=np.tile([1.0, 2.0], (4, 1)))
    return run_firmware(elf, "mailbox", find_target(TARGET), inputs, RunOptions(), lambda _done, _total: None)


@pytest.fixture(scope="session")
def infinite(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Three of eight outputs are infinite, in the inputs 1 and 3."""
    return summed(tmp_path_factory.mktemp("infinite"), "NOTHING")


@pytest.fixture(scope="session")
def unanswered(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """No input has an answer: the firmware reads unmapped memory."""
    return summed(tmp_path_factory.mktemp("unanswered"), "READ_NOTHING")


@pytest.fixture(scope="session")
def regressed(demos: list[Run]) -> list[Run]:
    """The first demo, and the same after 4 KB more in one function's frame and with wrong labels."""
    worse = demos[0].model_copy(deep=True)
    for frames in (worse.stack.backtrace, worse.stack.stacks[0].backtrace):
        frame = next(frame for frame in frames if frame.function == "scan_and_gate")
        assert frame.frame_bytes is not None
        frame.frame_bytes += 4096
    assert worse.memory.stack_peak_bytes is not None
    assert worse.parity is not None
    worse.memory.stack_peak_bytes += 4096
    worse.stack.stacks[0].peak_bytes += 4096
    wrong = next(each for each in worse.parity.by_class if each.inputs)
    wrong.predictions = {-1: wrong.inputs}
    for verdict in worse.verdicts:
        if verdict.name == "stack fits":
            verdict.ok, verdict.value = False, f"{worse.memory.stack_peak_bytes:,} B"
        if verdict.name == "labels agree with PyTorch":
            verdict.ok, verdict.value = False, f"{2 - wrong.inputs} of 2"
    return [demos[0], worse]


@pytest.fixture(scope="session")
def unmeasured() -> Run:
    """A record that holds only reasons."""
    figures = ("stack_peak_bytes", "stack_touched_bytes", "heap", "instructions", "timeline", "parity")
    return Run(
        model="vendor",
        target=TARGET,
        firmware=Firmware(path="vendor.elf", sha256="0" * 64, toolchain=None),
        memory=Memory(flash_bytes=100, static_ram_bytes=0),
        not_measured=dict.fromkeys(figures, "the machine ran bare"),
    )


@pytest.fixture(scope="session")
def poisoned(regressed: list[Run], faulty: Run) -> list[Run]:
    """Records in which every text is an attack."""
    return [hostile(run) for run in (regressed[1], faulty)]


@pytest.fixture(scope="session", params=["demos", "faulty", "regressed", "unmeasured", "poisoned"])
def runs(request: pytest.FixtureRequest) -> list[Run]:
    """Each record of this file."""
    found = request.getfixturevalue(request.param)
    return found if isinstance(found, list) else [found]


@pytest.fixture(scope="session")
def command_line() -> Callable[..., "subprocess.CompletedProcess[str]"]:
    return emu
