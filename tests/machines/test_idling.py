"""Firmware that gets no further: what it waits for is said in the same words in every emulator."""

import shutil
import subprocess
from pathlib import Path

import pytest
from builds import SOURCES, TARGET

from emu.emulators import EmulatorName
from emu.firmware import Firmware
from emu.instruments import Instruments
from emu.machines import Limits, Measurements, Stop
from emu.run.emulators import open_machine
from emu.targets import Target

BUDGET = 3_000_000

pytestmark = pytest.mark.parametrize(
    "emulator",
    [
        "unicorn",
        pytest.param(
            "qemu",
            marks=pytest.mark.skipif(shutil.which("qemu-system-arm") is None, reason="qemu-system-arm is missing"),
        ),
    ],
)


def run(directory: Path, emulator: EmulatorName, main: str) -> tuple[Stop, Measurements]:
    elf = directory / "idles.elf"
    command = ["arm-none-eabi-gcc", *TARGET.board.build.flags, "-g", "-O2", "-nostdlib", f"-DMAIN={main}"]
    command += ["-Wl,--section-start=.isr_vector=0x08000000", "-Wl,-Ttext=0x08000040", "-Wl,-Tbss=0x20000000"]
    subprocess.run([*command, "-Wl,--no-warn-rwx-segments", str(SOURCES / "idles.c"), "-o", str(elf)], check=True)
    target = Target(TARGET.board, emulator)
    limits = Limits(instructions=BUDGET, seconds=60)
    with open_machine(Firmware.load(elf, target), target, Instruments(limits=limits)) as machine:
        return machine.boot(), machine.measure()


def test_an_endless_loop_after_main_ends_the_run_well(tmp_path: Path, emulator: EmulatorName) -> None:
    stop, measured = run(tmp_path, emulator, "")
    assert (stop.reason, stop.exit_status) == ("exit", 0)
    assert not measured.faults


def test_an_endless_loop_elsewhere_is_a_fault_at_once(tmp_path: Path, emulator: EmulatorName) -> None:
    stop, measured = run(tmp_path, emulator, "hangs()")
    assert stop.fault is not None
    assert (stop.fault.kind, stop.fault.function) == ("wait_for_interrupt", "hangs")
    assert stop.fault.detail == "idles in `b .`, and no interrupt ends that"
    assert measured.instructions.total is not None
    assert measured.instructions.total < 30


def test_interrupts_go_on_until_none_can_come(tmp_path: Path, emulator: EmulatorName) -> None:
    stop, measured = run(tmp_path, emulator, "systick(7)")
    assert (stop.reason, stop.exit_status) == ("exit", 0), stop.fault
    assert measured.instructions.by_function["tick"] > 3


def test_a_budget_says_that_the_firmware_idles(tmp_path: Path, emulator: EmulatorName) -> None:
    stop, _ = run(tmp_path, emulator, "ticks = 3; systick(7)")
    assert stop.fault is not None
    assert stop.fault.kind == "instruction_budget"
    assert stop.fault.detail.endswith("instructions; it idles in `b .` after main")


def test_a_budget_says_what_the_firmware_polls(tmp_path: Path, emulator: EmulatorName) -> None:
    stop, _ = run(tmp_path, emulator, "polls()")
    assert stop.fault is not None
    assert (stop.fault.kind, stop.fault.function) == ("instruction_budget", "polls")
    assert stop.fault.detail.endswith("instructions; it polls USART3+0x1c, which reads 0xc0")


def test_a_poll_that_is_over_is_not_named(tmp_path: Path, emulator: EmulatorName) -> None:
    stop, _ = run(tmp_path, emulator, "polled_once()")
    assert stop.fault is not None
    assert stop.fault.detail == f"the run has not ended after {BUDGET} instructions"


def test_a_wait_that_nothing_ends(tmp_path: Path, emulator: EmulatorName) -> None:
    stop, _ = run(tmp_path, emulator, "sleeps()")
    assert stop.fault is not None
    assert (stop.fault.kind, stop.fault.function) == ("wait_for_interrupt", "sleeps")
    assert stop.fault.detail == "waits in WFI for an interrupt that nothing enables"


def test_a_wait_that_systick_ends(tmp_path: Path, emulator: EmulatorName) -> None:
    stop, _ = run(tmp_path, emulator, 'systick(7); while (ticks < 3) __asm__ volatile("wfi")')
    assert (stop.reason, stop.exit_status) == ("exit", 0), stop.fault
