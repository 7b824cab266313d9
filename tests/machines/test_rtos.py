"""Firmware with tasks: a small kernel of the tests runs with SVC, PendSV, SysTick and the FPU's lazy stacking."""

import shutil
import subprocess
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
