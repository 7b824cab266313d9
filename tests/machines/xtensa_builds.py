"""Compiles the programs in tests/firmware/xtensa with the port's startup code and linker script, and no C library."""

from pathlib import Path

import pytest

from emu.errors import MissingToolError
from emu.resources import resource
from emu.targets import Target, find_target
from emu.toolchains import find_toolchain

SOURCES = Path(__file__).parents[1] / "firmware" / "xtensa"
TARGET: Target = find_target("esp32s3-qemu")
_FLAGS = ("-g", "-ffreestanding", "-nostdlib", "-Wall", "-Wno-unused-function", "-Wno-infinite-recursion")


def build(directory: Path, source: str, *flags: str) -> Path:
    """Return the ELF of ``source``; the test is skipped where there is no compiler for it."""
    board = TARGET.board.build
    elf = directory / f"{Path(source).stem}{''.join(flag for flag in flags if flag.startswith('-O'))}.elf"
    optimisation = [] if any(flag.startswith("-O") for flag in flags) else ["-O2"]
    port = sorted((resource("runtime") / "port" / "xtensa").glob("*.S"))
    sources = [*port, SOURCES / "support.c", SOURCES / source]
    script = f"-T{board.linker_script}"
    command = [*board.flags, *_FLAGS, *optimisation, *flags, script, *map(str, sources), "-lgcc", "-o", str(elf)]
    try:
        find_toolchain(board.toolchain).run(command, directory)
    except MissingToolError as missing:
        pytest.skip(str(missing))
    return elf
