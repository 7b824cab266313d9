"""The core's exceptions in Unicorn: small programs note words, and QEMU's own core notes the same ones."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from builds import SOURCES

from emu.firmware import Firmware
from emu.instruments import Instruments
from emu.machines import Limits, Measurements, Stop
from emu.machines.unicorn import UnicornMachine
from emu.targets import find_target, load_targets

SUITE = SOURCES / "exceptions"
BOARD = SUITE / "board.toml"
QEMU = "qemu-system-arm"
LIMITS = Limits(instructions=2_000_000, seconds=20)
PROGRAMS = [
    (source.name, name)
    for source in sorted(SUITE.glob("*.c"))
    for name in re.findall(r"^#ifdef (\w+)", source.read_text(), re.MULTILINE)
]


DIFFERENT = {
    # C1.4.1 and B3.2.16: BKPT without a debugger is a HardFault with DEBUGEVT. QEMU reports FORCED.
    "breakpoint_without_debugger": "00000003 00000000 80000000 fffffff9 00000000",
    # B1.5.18: with SLEEPONEXIT the core sleeps again after each tick but the last. QEMU does not model the bit.
    "sleeps_on_exit": "00000003",
}
"""Words where QEMU does not do what the manual says, by program."""


def build(directory: Path, source: str, program: str) -> Path:
    elf = directory / f"{program}.elf"
    flags = ["-mcpu=cortex-m7", "-mthumb", "-mfpu=fpv5-d16", "-mfloat-abi=hard", "-O1", "-g", "-Wall", "-Wextra"]
    command = ["arm-none-eabi-gcc", *flags, "-ffreestanding", "-nostdlib", "-nostartfiles", f"-T{SUITE / 'suite.ld'}"]
    command += ["-Wl,--no-warn-rwx-segments", f"-D{program}", str(SUITE / "suite.c"), str(SUITE / source), "-lgcc"]
    subprocess.run([*command, "-o", str(elf)], check=True)
    return elf


def run(elf: Path, instruments: Instruments | None = None) -> tuple[Stop, Measurements]:
    target = find_target("exceptions-unicorn", load_targets([BOARD]))
    with UnicornMachine(Firmware.load(elf, target), target, instruments or Instruments(limits=LIMITS)) as machine:
        return machine.boot(), machine.measure()


def words_in_qemu(elf: Path) -> str:
    command = [QEMU, "-M", "mps2-an500", "-nographic", "-monitor", "none", "-serial", "none", "-kernel", str(elf)]
    command += ["-semihosting-config", "enable=on,target=native", "-icount", "shift=0"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    return done.stdout + done.stderr


@pytest.mark.skipif(shutil.which(QEMU) is None, reason=f"{QEMU} is not installed")
@pytest.mark.parametrize(("source", "program"), PROGRAMS)
def test_a_program_notes_the_words_that_it_notes_in_qemu(tmp_path: Path, source: str, program: str) -> None:
    elf = build(tmp_path, source, program)
    stop, measured = run(elf)
    assert (stop.reason, stop.exit_status) == ("exit", 0), stop.fault
    in_qemu = words_in_qemu(elf)
    if program in DIFFERENT:
        assert measured.output.split() == DIFFERENT[program].split() != in_qemu.split()
    else:
        assert measured.output.split() == in_qemu.split()
    assert measured.output.split()
