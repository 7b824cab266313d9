"""Find and drive the C compilers that build firmware."""

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from emu.errors import EmuError, MissingToolError

_INSTALL = {
    "arm-none-eabi": "apt-get install gcc-arm-none-eabi libnewlib-arm-none-eabi",
    "host": "apt-get install gcc",
}

_COMMANDS = {"host": "cc", "xtensa": "xtensa-elf-gcc"}


@dataclass(frozen=True)
class Toolchain:
    """A compiler driver that also assembles and links."""

    name: str
    compiler: Path
    version: str

    def run(self, arguments: list[str], directory: Path) -> None:
        """Run the compiler in ``directory``; raises EmuError with its first messages where it fails."""
        try:
            subprocess.run([self.compiler, *arguments], cwd=directory, check=True, capture_output=True, text=True)
        except subprocess.CalledProcessError as error:
            messages = "\n".join(error.stderr.splitlines()[:12])
            raise EmuError(f"{self.compiler.name} failed:\n{messages}") from error


def find_toolchain(name: str) -> Toolchain:
    """Return the toolchain ``arm-none-eabi`` or ``host``; raises MissingToolError with the command that installs it."""
    command = _COMMANDS.get(name, f"{name}-gcc")
    path = shutil.which(command)
    if path is None:
        install = _INSTALL.get(name, f"put {command} on the PATH")
        raise MissingToolError(f"{command} is not installed; install it with: {install}")
    version = subprocess.run([path, "--version"], check=True, capture_output=True, text=True).stdout.splitlines()[0]
    return Toolchain(name, Path(path), version)
