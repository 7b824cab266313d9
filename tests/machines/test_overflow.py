"""A stack overflow is one kind of fault and fails one kind of verdict: on each board, emulator and stack."""

import shutil
from collections.abc import Callable
from pathlib import Path

import builds
import pytest
import stand_in
import xtensa_builds

from emu.instruments import Limits
from emu.record import Run
from emu.run import RunOptions, run_firmware
from emu.targets import find_target

Build = Callable[[Path], Path]

NO_YIELD = "-Demu_yield=goes_on"


def arm(source: str, *flags: str) -> Build:
    return lambda directory: builds.build(directory, source, NO_YIELD, *flags)


def lx7(source: str, *flags: str) -> Build:
    return lambda directory: xtensa_builds.build(directory, source, NO_YIELD, *flags)


def on(how: str, runs: str) -> tuple[str, ...]:
    return f"-DMAIN={how}(task_stack+sizeof task_stack,job)", f"-DRUNS={runs}"


FIRST, TASK = "stack fits", "stack task_stack fits"
EVENTS: dict[str, tuple[str, Build, str, str]] = {
    "recursion": ("stm32h7", arm("faults.c", "-DFAULT=endless_recursion(0)"), FIRST, "endless_recursion"),
    "a large frame": ("stm32h7", arm("faults.c", "-DFAULT=large_frame(1<<20)"), FIRST, "large_frame"),
    "first stack into other variables": (
        "stm32h7",
        arm("stacks.c", "-DRUNS=deep(30)", "-DINITIAL_SP=first_stack+2048", "-fno-tree-loop-distribute-patterns"),
        FIRST,
        "deep",
    ),
    "a large frame on a second MSP": ("stm32h7", arm("stacks.c", *on("on_stack", "grow(1<<20)")), TASK, "grow"),
    "a large frame on PSP": ("stm32h7", arm("stacks.c", *on("on_process_stack", "grow(1<<20)")), TASK, "grow"),
    "recursion on a second MSP": ("stm32h7", arm("stacks.c", *on("on_stack", "too_deep(99)")), TASK, "too_deep"),
    "recursion on PSP": ("stm32h7", arm("stacks.c", *on("on_process_stack", "too_deep(99)")), TASK, "too_deep"),
    "LX7: recursion": ("esp32s3", lx7("faults.c", "-DFAULT=endless_recursion(0)"), FIRST, "endless_recursion"),
    "LX7: a large frame": ("esp32s3", lx7("faults.c", "-DFAULT=large_frame(1<<20)"), FIRST, "large_frame"),
    "LX7: a large frame on a second stack": ("esp32s3", lx7("second_stack.c", "-DBYTES=(1<<20)"), TASK, "grow"),
}
"""Board, program, the verdict that fails, and a function of the backtrace."""
COMMANDS = {"stm32h7-qemu": "qemu-system-arm", "esp32s3-qemu": "qemu-system-xtensa"}


def record(elf: Path, target: str, *, stack_peak: bool = False) -> Run:
    if shutil.which(COMMANDS.get(target, "true")) is None:
        pytest.skip(f"{COMMANDS[target]} is not installed")
    options = RunOptions(stack_peak=stack_peak, limits=Limits(instructions=2_000_000, seconds=20))
    return run_firmware(elf, "overflow", find_target(target), None, options, lambda _done, _total: None)


@pytest.mark.parametrize("emulator", ["unicorn", "qemu"])
@pytest.mark.parametrize("event", EVENTS)
def test_an_overflow_is_the_same_everywhere(tmp_path: Path, event: str, emulator: str) -> None:
    board, build, verdict, function = EVENTS[event]
    if (board, emulator) == ("esp32s3", "unicorn"):
        pytest.skip("Unicorn does not run this board")
    run = record(build(tmp_path), f"{board}-{emulator}")
    assert [fault.kind for fault in run.faults] == ["stack_overflow"], run.faults
    frames = [(frame.function or "").split(".")[0].split("$")[0] for frame in run.faults[0].backtrace]
    assert function in frames
    assert run.faults[0].pc is not None
    assert "below the limit" in run.faults[0].detail
    failed = [one.name for one in run.verdicts if not one.ok]
    assert failed == ["no fault", verdict]
    if verdict == FIRST:
        assert run.memory.stack_peak_bytes is not None
        assert run.memory.stack_limit_bytes is not None
        assert run.memory.stack_peak_bytes > run.memory.stack_limit_bytes
    else:
        (stack,) = run.other_stacks
        assert (stack.name, stack.peak_bytes > (stack.limit_bytes or 0)) == ("task_stack", True)
        assert function in [(frame.function or "").split("$")[0] for frame in stack.backtrace]
        assert (stack.pointer == "PSP") == event.endswith("PSP")


@pytest.mark.parametrize("event", [event for event, (board, *_) in EVENTS.items() if board == "stm32h7"])
def test_in_renode_only_the_accesses_out_of_ram_are_faults(
    tmp_path: Path, event: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Renode lets the firmware go on after such an access, so nothing is left that tells of the stack."""
    stand_in.install(tmp_path, monkeypatch)
    _, build, _, _ = EVENTS[event]
    elf = build(tmp_path)
    run = record(elf, "stm32h7-renode")
    if event != "first stack into other variables":
        assert {fault.kind for fault in run.faults} == {"unmapped_write"}
        return
    assert (run.faults, run.ok) == ([], True)
    assert any("a stack that grows into other RAM" in line for line in run.not_checked)
    with_peak = record(elf, "stm32h7-renode", stack_peak=True)
    assert [verdict.name for verdict in with_peak.verdicts if not verdict.ok] == [FIRST]


@pytest.mark.parametrize(
    ("target", "build"),
    [
        ("stm32h7-qemu", arm("stacks.c", *on("on_stack", "deep(3)"))),
        ("stm32h7-qemu", arm("stacks.c", *on("on_process_stack", "grow(200)"))),
        ("esp32s3-qemu", lx7("second_stack.c", "-DBYTES=100")),
    ],
)
def test_a_second_stack_that_fits_is_no_fault(tmp_path: Path, target: str, build: Build) -> None:
    run = record(build(tmp_path), target)
    assert run.ok, run.faults


@pytest.mark.parametrize("how", ["on_stack", "on_process_stack"])
def test_a_wild_access_on_a_second_stack_is_no_overflow(tmp_path: Path, how: str) -> None:
    elf = arm("stacks.c", *on(how, "use((char*)0x10000000)"))(tmp_path)
    for target in ("stm32h7-unicorn", "stm32h7-qemu"):
        assert [fault.kind for fault in record(elf, target).faults] == ["unmapped_write"], target
