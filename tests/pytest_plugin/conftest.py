"""A project outside this repository, and firmware for it."""

from pathlib import Path

import pytest
from projects import BOARD, PROGRAM, SIZES, Compile, Project

from emu.resources import resource
from emu.toolchains import find_toolchain


@pytest.fixture
def project(tmp_path: Path) -> Project:
    directory = tmp_path / "project"
    directory.mkdir()
    return Project(directory)


@pytest.fixture
def compile_program(project: Project) -> Compile:
    """Compile ``PROGRAM`` into the project: ``compile_program("wide", WINDOW=3000)`` makes ``wide.elf``."""

    def compile_program(name: str = "filters", *flags: str, **sizes: object) -> Path:
        project.write("filters.c", PROGRAM)
        defines = [f"-D{name}={value}" for name, value in {**SIZES, **sizes}.items()]
        script = BOARD.build.linker_script
        compiling = [*BOARD.build.flags, "-g", "-O1", "-std=gnu99", "-ffreestanding", *defines, *flags]
        linking = ["-nostdlib", f"-T{script}", "-Wl,--defsym=__stack_size=16384", "-o", f"{name}.elf"]
        startup = resource("runtime") / "port" / BOARD.architecture / "startup.c"
        find_toolchain(BOARD.build.toolchain).run([*compiling, "filters.c", str(startup), *linking], project.directory)
        return project.directory / f"{name}.elf"

    return compile_program
