"""Find and drive the C compilers that build firmware."""

import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from emu.errors import EmuError, MissingToolError
from emu.toolchains.espressif import espressif_compilers
from emu.toolchains.recipe import find_recipe

_INSTALL = {
    "arm-none-eabi": "apt-get install gcc-arm-none-eabi libnewlib-arm-none-eabi",
    "host": "apt-get install gcc",
    "host-sanitizers": "apt-get install gcc",
    "xtensa": "emu toolchain install xtensa",
}


@dataclass(frozen=True)
class Toolchain:
    """A compiler driver that also assembles and links."""

    name: str
    compiler: Path
    version: str

    def run(self, arguments: list[str], directory: Path) -> None:
        """Run the compiler in ``directory``; raises EmuError with its first messages if it fails."""
        try:
            subprocess.run([self.compiler, *arguments], cwd=directory, check=True, capture_output=True, text=True)
        except subprocess.CalledProcessError as error:
            messages = "\n".join(error.stderr.splitlines()[:12])
            raise EmuError(f"{self.compiler.name} failed:\n{messages}") from error


def find_toolchain(name: str) -> Toolchain:
    """Return the toolchain ``host``, ``xtensa``, or one whose GCC is called ``<name>-gcc`` (``arm-none-eabi``).

    ``host-sanitizers`` is the host's GCC, if that has AddressSanitizer and UndefinedBehaviorSanitizer.
    ``xtensa`` is the compiler that ``emu toolchain install xtensa`` built, or else Espressif's: see
    :mod:`emu.toolchains.espressif` for why in this order. Raises MissingToolError with the command that installs it.
    """
    for compiler in _compilers(name):
        version = _version(compiler)
        if version is not None and (name != "host-sanitizers" or _has_sanitizers(compiler)):
            return Toolchain(name, compiler, version)
    command = _command(name)
    install = _INSTALL.get(name, f"put {command} on the PATH")
    raise MissingToolError(f"{command} is not installed; install it with: {install}")


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


def _version(compiler: Path) -> str | None:
    """Return the first line of what the compiler says of itself, or None if it does not run here."""
    try:
        answer = subprocess.run([compiler, "--version"], check=True, capture_output=True, text=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return answer.stdout.partition("\n")[0]


def _has_sanitizers(compiler: Path) -> bool:
    """Return whether the compiler finds their libraries: of one that is missing it says no more than the name."""
    libraries = ("libasan.so", "libubsan.so")
    asked = [[compiler, f"-print-file-name={library}"] for library in libraries]
    answers = [subprocess.run(command, check=False, capture_output=True, text=True).stdout for command in asked]
    return all(Path(answer.strip()).is_absolute() for answer in answers)
