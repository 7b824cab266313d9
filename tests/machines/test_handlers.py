"""Backtraces of handlers lead to the code that was interrupted, and say why they end if they end too early."""

import io
import shutil
import struct
from pathlib import Path

import pytest
from builds import SOURCES, TARGET, firmware, line_of
from rich.console import Console

from emu.architectures.cores import core_of
from emu.budgets.limits import describe_fault
from emu.firmware import Firmware
from emu.instruments import Instruments
from emu.machines import Limits
from emu.machines.qemu import QemuMachine
from emu.machines.unicorn import UnicornMachine
from emu.record import Fault, Frame, Memory, Run, Stack, StackUse, Verdict
from emu.record import Firmware as Elf
from emu.reports.annotations import render_annotations
from emu.reports.html import render_html
from emu.reports.junit import render_junit
from emu.reports.markdown import render_markdown
from emu.reports.sources import Sources
from emu.reports.terminal import print_run
from emu.targets import find_target

SOURCE = "handlers.c"
QEMU = find_target("stm32h7-qemu")
WITH_FPU = ("-Wl,--wrap=main", str(SOURCES / "fpu.c"))
NOTHING = 0x60000000
"""The handler reads from here + the bytes of the main stack."""
needs_qemu = pytest.mark.skipif(shutil.which("qemu-system-arm") is None, reason="qemu-system-arm is not installed")


def fault_in_qemu(directory: Path, call: str, *flags: str) -> Fault:
    program = firmware(directory, SOURCE, f"-DCALL={call}", *flags)
    with QemuMachine(program, QEMU, Instruments(limits=Limits(seconds=20))) as machine:
        assert machine.boot().reason == "yield"
        fault = machine.resume().fault
    assert fault is not None
    return fault


@needs_qemu
@pytest.mark.parametrize("level", ["-O0", "-O2"])
@pytest.mark.parametrize(
    ("call", "flags", "interrupted"),
    [
        ("is_interrupted", (), [("is_interrupted", "PendSV")]),
        ("leaf_is_interrupted", (), [("leaf_is_interrupted", "PendSV")]),
        ("is_interrupted_with_floats", WITH_FPU, [("is_interrupted_with_floats", "PendSV")]),
        ("calls_the_supervisor", (), [("supervisor_call", "PendSV"), ("calls_the_supervisor", "SVC")]),
    ],
)
def test_a_fault_in_a_handler_leads_to_the_interrupted_code(
    tmp_path: Path, level: str, call: str, flags: tuple[str, ...], interrupted: list[tuple[str, str]]
) -> None:
    fault = fault_in_qemu(tmp_path, call, level, *flags)
    frames = fault.backtrace
    assert [frame.function for frame in frames[:2]] == ["fault", "pend_sv"]
    found = frames[2 : 2 + len(interrupted)]
    assert [(frame.function, frame.interrupted_by) for frame in found] == interrupted
    for frame in found:
        marked = frame.function != "leaf_is_interrupted"
        assert not marked or frame.line in (line_of(SOURCE, str(frame.function)), line_of(SOURCE, "fault") + 1)
    assert [frame.function for frame in frames if frame not in found][2:] in (
        ["main", "reset_handler"],
        ["main", "__wrap_main", "reset_handler"],
    )
    assert fault.address is not None
    assert sum(frame.frame_bytes or 0 for frame in frames) == fault.address - NOTHING
    assert {frame.walk_ends for frame in frames} == {None}


@needs_qemu
def test_a_walk_that_cannot_go_on_says_so(tmp_path: Path) -> None:
    *_, last = fault_in_qemu(tmp_path, "starts_a_task").backtrace
    assert last.function == "pend_sv"
    assert last.walk_ends == "no caller is known: the exception's frame cannot be read"


# ---- frames that the core pushes, by the manual ----------------------------------------------------------------------

MAIN_STACK, PROCESS_STACK = 0x2001FF00, 0x2000FF00


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Firmware:
    return firmware(tmp_path_factory.mktemp("handlers"), SOURCE, "-DCALL=is_interrupted")


def at_handler(program: Firmware, lr: int, xpsr: int, psp: int, frames_at: int) -> list[Frame]:
    """Return the frames at the first instruction of PendSV's handler, which has interrupted a task's first one."""
    interrupted, handler = (program.entry_of(name) for name in ("is_interrupted", "pend_sv"))
    assert interrupted is not None
    assert handler is not None
    frame = struct.pack("<8I", 0, 1, 2, 3, 12, 0, interrupted, xpsr)
    registers = [*range(13), MAIN_STACK, lr, handler, psp]
    return core_of(program).backtrace(registers, lambda at, size: frame[:size] if at == frames_at else b"")


@pytest.mark.parametrize(("lr", "frame_bytes"), [(0xFFFFFFFD, 32), (0xFFFFFFED, 104)])
@pytest.mark.parametrize("realigned", [False, True])
def test_the_frame_on_the_process_stack_has_the_bytes_of_the_manual(
    program: Firmware, lr: int, frame_bytes: int, realigned: bool
) -> None:
    array = program.symbol("task_stack")
    assert array is not None
    pushed = frame_bytes + 4 * realigned
    psp = array.end - pushed
    handler, task = at_handler(program, lr, (1 << 24) | (realigned << 9), psp, psp)
    assert (handler.function, handler.frame_bytes, handler.interrupted_by) == ("pend_sv", 0, None)
    assert (task.function, task.frame_bytes, task.interrupted_by) == ("is_interrupted", pushed, "PendSV")
    assert task.walk_ends is None, "the task's stack begins here"


@pytest.mark.parametrize("number", [7, 8, 9, 10, 13])
def test_a_word_in_a_reserved_vector_does_not_end_the_table(tmp_path: Path, number: int) -> None:
    checksum = firmware(tmp_path, SOURCE, "-DCALL=is_interrupted", f"-DRESERVED_VECTOR={number}")
    _, task = at_handler(checksum, 0xFFFFFFF9, 1 << 24, PROCESS_STACK, MAIN_STACK)
    assert task.interrupted_by == "PendSV"


@pytest.mark.parametrize(("lr", "frame_bytes"), [(0xFFFFFFF9, 32), (0xFFFFFFE9, 104), (0xFFFFFFF1, 32)])
def test_the_frame_on_the_main_stack_has_the_bytes_of_the_manual(program: Firmware, lr: int, frame_bytes: int) -> None:
    handler, below = at_handler(program, lr, 1 << 24, PROCESS_STACK, MAIN_STACK)
    assert (handler.function, handler.frame_bytes) == ("pend_sv", 0)
    assert (below.function, below.frame_bytes, below.interrupted_by) == ("is_interrupted", frame_bytes, "PendSV")
    assert below.walk_ends == "no caller is known: its return address 0x00000000 does not follow a call"


@pytest.mark.parametrize("psp", [0, PROCESS_STACK], ids=["PSP cannot be seen", "no memory"])
def test_the_frame_on_an_unknown_process_stack_is_not_guessed(program: Firmware, psp: int) -> None:
    (handler,) = at_handler(program, 0xFFFFFFFD, 1 << 24, psp, MAIN_STACK)
    assert handler.walk_ends == "no caller is known: the exception's frame cannot be read"


# ---- the end of a task's stack ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("level", ["-O0", "-O2"])
def test_no_frame_lies_behind_the_end_of_a_tasks_stack(tmp_path: Path, level: str) -> None:
    flags = (level, "-DMAIN=begin_task(task_stack+sizeof task_stack,outermost)")
    instruments = Instruments(limits=Limits(seconds=20), memcheck=True)
    with UnicornMachine(firmware(tmp_path, "stacks.c", *flags), TARGET, instruments) as machine:
        assert machine.boot().reason == "exit"
        measured = machine.measure()
    assert measured.memory_check is not None
    (finding,) = measured.memory_check.findings
    (allocation,) = measured.heap.peak
    assert [frame.function for frame in finding.backtrace] == ["use", "outermost"]
    assert [frame.function for frame in allocation.backtrace] == ["outermost"]
    assert [frame.function for frame in measured.stack.stacks[1].backtrace][-1] == "outermost"


# ---- in the reports --------------------------------------------------------------------------------------------------


def test_every_report_says_what_was_interrupted_and_where_the_walk_ends(tmp_path: Path) -> None:
    frames = [
        Frame(function="handler", file="main.c", line=5, pc=0x08000100, frame_bytes=8),
        Frame(
            function="work",
            file="main.c",
            line=9,
            pc=0x08000200,
            frame_bytes=40,
            interrupted_by="PendSV",
            walk_ends="no caller is known at all",
        ),
    ]
    fault = Fault(function="handler", file="main.c", line=5, kind="exception", detail="a fault", backtrace=frames)
    use = StackUse(name="main", pointer="MSP", top=0x20020000, limit_bytes=None, peak_bytes=48, backtrace=frames)
    run = Run(
        model="frames",
        target="stm32h7-unicorn",
        firmware=Elf(path="frames.elf", sha256="0" * 64, toolchain=None),
        memory=Memory(flash_bytes=1),
        stack=Stack(backtrace=frames, stacks=[use]),
        faults=[fault],
        verdicts=[Verdict(name="no fault", ok=False, value="1 fault", limit="0")],
    )
    terminal = io.StringIO()
    print_run(Console(file=terminal, width=200), run, TARGET.board)
    (tmp_path / "main.c").write_text("\n" * 20)
    reports = {
        "terminal": terminal.getvalue(),
        "markdown": render_markdown([run]),
        "html": render_html([run]),
        "junit": render_junit([run]),
        "annotations": render_annotations([run], Sources(tmp_path)),
        "pytest": describe_fault(fault),
    }
    for name, text in reports.items():
        assert "interrupted" in text, name
        assert "PendSV" in text, name
        assert "no caller is known at all" in text, name
