"""Find and drive the C compilers that build firmware."""

import errno
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from subprocess import DEVNULL, PIPE

from emu.errors import EmuError, MissingToolError, OutputError
from emu.processes import guarded, version_line
from emu.toolchains.espressif import espressif_compilers
from emu.toolchains.recipe import find_recipe

_INSTALL = {
    "arm-none-eabi": "apt-get install gcc-arm-none-eabi libnewlib-arm-none-eabi",
    "host": "apt-get install gcc",
    "host-sanitizers": "apt-get install gcc",
    "xtensa": "emu toolchain install xtensa",
}


WORKING_DIRECTORY = "/proc/self/cwd"
"""A name for the current directory that is the same in every directory. GCC uses $PWD if $PWD names the directory. So
output does not depend on a path, and no option has to quote a comma or an equals sign in a path."""

_NO_ROOM = os.strerror(errno.ENOSPC)


class CompilerError(EmuError):
    """A compiler or linker failed. The message has the first error that the program printed."""

    def __init__(self, compiler: str, status: int, output: str):
        super().__init__(f"{compiler} failed: {_first_error(output) or f'exit status {status}'}")
        self.output = output
        """The complete text that the program printed."""
        self.add_note(output)  # for a traceback


@dataclass(frozen=True)
class Toolchain:
    """A compiler driver, which also assembles and links."""

    name: str
    compiler: Path
    version: str

    def run(self, arguments: list[str], directory: Path) -> None:
        """Run the compiler in ``directory``; debug information calls the directory ``WORKING_DIRECTORY``.

        Temporary files go to ``directory``, too. Raises CompilerError if the compiler fails, and OutputError if the
        disk is full.
        """
        command, environment = [self.compiler, *arguments], {**os.environ, "PWD": WORKING_DIRECTORY, "TMPDIR": "."}
        with guarded(command, cwd=directory, env=environment, stdout=DEVNULL, stderr=PIPE) as process:
            output = process.communicate()[1].decode(errors="replace")
        if process.returncode == 0:
            return
        if _NO_ROOM in output:
            raise OutputError(f"{directory}: {_NO_ROOM} for what {self.compiler.name} writes; make room there")
        raise CompilerError(self.compiler.name, process.returncode, output)


def find_toolchain(name: str) -> Toolchain:
    """Return the toolchain called ``name``.

    Raises MissingToolError with the command that installs the toolchain, or that names a compiler which hangs.

    - ``host``: the compiler of this machine.
    - ``host-sanitizers``: the GCC of this machine, with AddressSanitizer and UndefinedBehaviorSanitizer.
    - ``xtensa``: the compiler that ``emu toolchain install xtensa`` built, or else Espressif's;
      :mod:`emu.toolchains.espressif` gives the reason for this order.
    - another name: the GCC called ``<name>-gcc``, for example ``arm-none-eabi-gcc``.
    """
    for compiler in _compilers(name):
        version = version_line(compiler)
        if version is not None and (name != "host-sanitizers" or _has_sanitizers(compiler)):
            return Toolchain(name, compiler, version)
    command = _command(name)
    install = _INSTALL.get(name, f"put {command} on the PATH")
    raise MissingToolError(f"{command} is not installed; install it with: {install}")


def _first_error(output: str) -> str:
    """Return the first line that contains ``error: ``, or else the last line that is not empty."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    return next((line for line in lines if "error: " in line), "".join(lines[-1:]))


def _compilers(name: str) -> Iterator[Path]:
    recipe = find_recipe(name)
    built = recipe.built() if recipe is not None else None
    if built is not None:
        yield built
    if name == "xtensa":
        yield from espressif_compilers()
    else:
        found = shutil.which({"host": "cc", "host-sanitizers": "gcc"}.get(name, f"{name}-gcc"))
        if found is not None:
            yield Path(found)


def _command(name: str) -> str:
    names = {"host": "cc", "host-sanitizers": "gcc with libasan and libubsan", "xtensa": "a GCC for Xtensa"}
    return names.get(name, f"{name}-gcc")


def _has_sanitizers(compiler: Path) -> bool:
    """Return whether the compiler finds the sanitizers' libraries. GCC prints no path for a missing library."""
    libraries = ("libasan.so", "libubsan.so")
    asked = [[compiler, f"-print-file-name={library}"] for library in libraries]
    answers = [subprocess.run(command, check=False, capture_output=True, text=True).stdout for command in asked]
    return all(Path(answer.strip()).is_absolute() for answer in answers)
