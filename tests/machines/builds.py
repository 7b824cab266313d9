"""Compiles the programs in tests/firmware for the tests."""

import subprocess
from pathlib import Path

from emu.firmware import Firmware
from emu.targets import Target, find_target

SOURCES = Path(__file__).parents[1] / "firmware"
TARGET: Target = find_target("stm32h7-unicorn")
LEVELS = ("-O0", "-O2", "-Os")


def build(directory: Path, source: str, *flags: str) -> Path:
    """Return the ELF of ``source`` with the tests' startup code."""
    elf = directory / f"{Path(source).stem}{''.join(flag for flag in flags if flag.startswith('-O'))}.elf"
    optimisation = [] if any(flag.startswith("-O") for flag in flags) else ["-O2"]
    command = ["arm-none-eabi-gcc", *TARGET.board.build.flags, "-g", "-nostartfiles", "-Wall", "-Wno-unused-function"]
    command += ["-Wl,--no-warn-rwx-segments", f"-T{SOURCES / 'test.ld'}", str(SOURCES / "startup.c")]
    subprocess.run([*command, str(SOURCES / source), *optimisation, *flags, "-o", str(elf)], check=True)
    return elf


def firmware(directory: Path, source: str, *flags: str) -> Firmware:
    """Return the same as ``Firmware``."""
    return Firmware.load(build(directory, source, *flags), TARGET)


def line_of(source: str, mark: str) -> int:
    """Return the number of the line that carries the comment ``/* mark */``."""
    lines = (SOURCES / source).read_text().splitlines()
    return next(number for number, line in enumerate(lines, start=1) if f"/* {mark} */" in line)
