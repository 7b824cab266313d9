"""Firmware with tasks: a small kernel of the tests runs with SVC, PendSV, SysTick and the FPU's lazy stacking."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from builds import LEVELS, SOURCES, TARGET
from rtos_watch import watched

from emu.firmware import Firmware
from emu.instruments import Instruments
from emu.machines import Limits, Measurements, Stop
from emu.machines.qemu import QemuMachine
from emu.machines.unicorn import UnicornMachine
from emu.targets import find_target

QEMU = find_target("stm32h7-qemu")
needs_qemu = pytest.mark.skipif(shutil.which("qemu-system-arm") is None, reason="qemu-system-arm is not installed")
KERNEL = [str(SOURCES / "rtos" / name) for name in ("boot.c", "rtos.c", "switch.S")]
PRINTED = "47\n194\n582\n1390\n2872\n5398\ninterrupts yes yes kept\n"
ARRAYS = ("printer_stack", "filter_stack", "worker_stack", "idle_stack.0")
LIKE_FREERTOS = ("-Drunning=pxCurrentTCB", "-Dname=pcTaskName", "-Dstack=pxStack")
LIKE_THREADX = ("-Drunning=_tx_thread_current_ptr", "-Dname=tx_thread_name", "-Dstack=tx_thread_stack_start")


def build(directory: Path, program: str, *flags: str) -> Firmware:
    elf = directory / "tasks.elf"
    level = [] if any(flag.startswith("-O") for flag in flags) else ["-O2"]
    command = ["arm-none-eabi-gcc", *TARGET.board.build.flags, "-g", "-nostartfiles", "-Wall", "-Wextra", "-Werror"]
    command += ["-Wl,--no-warn-rwx-segments", f"-T{SOURCES / 'test.ld'}", *KERNEL, str(SOURCES / "rtos" / program)]
    subprocess.run([*command, *level, *flags, "-o", str(elf)], check=True)
    return Firmware.load(elf, TARGET)


def without_places(measured: Measurements) -> dict[str, object]:
    """Return the stacks, without the instruction of a function that an interrupt preempts after a barrier begins."""
    return {
        stack.name: (
            stack.model_copy(update={"backtrace": []}),
            [(frame.function, frame.frame_bytes, frame.interrupted_by, frame.walk_ends) for frame in stack.backtrace],
        )
        for stack in measured.stack.stacks
    }


def run(firmware: Firmware) -> tuple[Stop, Measurements]:
    with UnicornMachine(firmware, TARGET, Instruments(limits=Limits(seconds=20))) as machine:
        return machine.boot(), machine.measure()


@pytest.mark.parametrize("level", LEVELS)
def test_the_peak_of_each_stack_is_what_a_watch_on_every_instruction_sees(tmp_path: Path, level: str) -> None:
    firmware = build(tmp_path, "work.c", level)
    stop, measured, watch = watched(firmware, TARGET)
    assert (stop.reason, stop.exit_status, measured.output) == ("exit", 0, PRINTED)
    first, in_heap, *arrays = measured.stack.stacks
    bss = max(section.end for section in firmware.sections if 0x2000_0000 <= section.address < first.top)
    assert first.peak_bytes == watch.peak(bss, first.top)
    assert (in_heap.name, in_heap.limit_bytes) == ("heap block at 0x24000008", 768)
    assert in_heap.peak_bytes == watch.peak(0x2400_0008, 0x2400_0008 + 768)
    assert {stack.name for stack in arrays} == set(ARRAYS)
    for stack in arrays:
        array = firmware.symbol(stack.name)
        assert array is not None
        assert (stack.pointer, stack.top, stack.limit_bytes) == ("PSP", array.end, array.size)
        assert stack.peak_bytes == watch.peak(array.address, array.end)


@pytest.mark.parametrize("flags", [LIKE_FREERTOS, LIKE_THREADX])
def test_a_stack_has_the_name_of_its_task(tmp_path: Path, flags: tuple[str, ...]) -> None:
    _, measured = run(build(tmp_path, "work.c", *flags))
    _, *tasks = measured.stack.stacks
    assert {stack.name: stack.place for stack in tasks} == {
        "heap": "heap block at 0x24000008",
        "printer": "printer_stack",
        "filter": "filter_stack",
        "worker": "worker_stack",
        "idle": "idle_stack.0",
    }
    assert {group.function: group.task for group in measured.heap.peak} == {
        "main": None,
        "worker": "worker",
        "interrupt_0": "filter",
    }


def test_the_frame_of_an_interrupt_is_in_the_peak_by_name(tmp_path: Path) -> None:
    _, measured = run(build(tmp_path, "work.c"))
    stacks = {stack.name: stack for stack in measured.stack.stacks}
    for name, exception, frame in (("filter_stack", "interrupt 0", 104), ("printer_stack", "PendSV", 32)):
        innermost = stacks[name].backtrace[0]
        assert innermost.interrupted_by == exception
        assert innermost.frame_bytes is not None
        assert innermost.frame_bytes >= frame
        assert sum(each.frame_bytes or 0 for each in stacks[name].backtrace) == stacks[name].peak_bytes
    handlers = [frame.function for frame in measured.stack.backtrace]
    assert handlers == ["interrupt_2", "raise_interrupt", "interrupt_1"]


def test_the_deepest_interrupt_is_added_to_each_peak(tmp_path: Path) -> None:
    """By hand: frames of 32 bytes, or 104 after the FPU was used; the kernel saves 36 bytes, or 100."""
    _, measured = run(build(tmp_path, "work.c"))
    stacks = {stack.name: stack for stack in measured.stack.stacks}
    own = {name: stack.peak_bytes - (stack.backtrace[0].frame_bytes or 0) for name, stack in stacks.items()}
    assert stacks["heap block at 0x24000008"].with_interrupts_bytes == own["heap block at 0x24000008"] + 32 + 36
    for name in ("filter_stack", "worker_stack"):
        assert stacks[name].with_interrupts_bytes == own[name] + 104 + 100
    depths = {handler.name: handler.stack_bytes for handler in measured.stack.handlers}
    assert list(depths) == ["SVC", "interrupt 2", "interrupt 1", "interrupt 0", "SysTick", "PendSV"]
    main = measured.stack.stacks[0]
    assert main.with_interrupts_bytes is not None
    frames = main.with_interrupts_bytes - sum(depths.values())
    assert frames >= 6 * 32 + main.peak_bytes - 248
    assert main.with_interrupts_bytes > main.peak_bytes


def test_ten_runs_are_one(tmp_path: Path) -> None:
    firmware = build(tmp_path, "work.c")
    assert len({repr(run(firmware)[1]) for _ in range(10)}) == 1


# ---- the second opinion ----------------------------------------------------------------------------------------------


@needs_qemu
@pytest.mark.parametrize("flags", [("-O0",), ("-O2",), ("-Os", *LIKE_FREERTOS)])
def test_qemu_finds_the_same_stacks_with_the_same_peaks(tmp_path: Path, flags: tuple[str, ...]) -> None:
    firmware = build(tmp_path, "work.c", *flags)
    with QemuMachine(firmware, QEMU, Instruments(limits=Limits(seconds=20))) as machine:
        stop, measured = machine.boot(), machine.measure()
    assert (stop.reason, stop.exit_status, measured.output) == ("exit", 0, PRINTED)
    _, expected = run(firmware)
    assert without_places(measured) == without_places(expected)
    assert measured.heap == expected.heap
    assert measured.stack.handlers == expected.stack.handlers


# ---- memory errors ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Planted:
    """A mistake of the firmware, as the comment on its line describes it."""

    name: str
    kind: str
    task: str
    function: str
    line: int

    @classmethod
    def all(cls) -> Iterator["Planted"]:
        function = ""
        for line, text in enumerate((SOURCES / "rtos" / "mistakes.c").read_text().splitlines(), start=1):
            if head := re.match(r"(?:__attribute__\(\(noipa\)\) )?(?:static )?\w+ (\w+)\(", text):
                function = head[1]
            if mark := re.search(r"/\* (\w+): (\w+) (\w+) \*/", text):
                yield cls(*mark.groups(), function=function, line=line)


def memory_errors(firmware: Firmware) -> tuple[Stop, list[tuple[str, str | None, int | None, str | None]]]:
    instruments = Instruments(memcheck=True, limits=Limits(seconds=60))
    with UnicornMachine(firmware, TARGET, instruments) as machine:
        stop, measured = machine.boot(), machine.measure()
    assert measured.memory_check is not None
    found = [*measured.faults, *measured.memory_check.findings]
    return stop, [(each.kind, each.function, each.line, each.task) for each in found]


@pytest.mark.parametrize("planted", [*Planted.all()], ids=lambda planted: planted.name)
def test_a_mistake_in_a_task_or_a_handler_is_found_at_its_line_with_the_task(tmp_path: Path, planted: Planted) -> None:
    for level in LEVELS:
        flags = (level, f"-DMISTAKE={planted.name}", "-Wno-error", "-w", *LIKE_FREERTOS)
        _, found = memory_errors(build(tmp_path, "mistakes.c", *flags))
        assert found[0] == (planted.kind, planted.function, planted.line, planted.task)
        assert found[1:] == [] or planted.kind == "double_free"


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("program", ["work.c", "mistakes.c"])
def test_nothing_is_found_in_tasks_without_a_mistake(tmp_path: Path, program: str, level: str) -> None:
    stop, found = memory_errors(build(tmp_path, program, level, "-DMISTAKE=NONE"))
    assert (stop.reason, stop.exit_status, found) == ("exit", 0, [])
