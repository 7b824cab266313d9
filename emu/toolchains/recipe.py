"""Recipes: how a toolchain is built where no package of it exists."""

import platform
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from emu.cache import cache_root, content_key, is_sealed


@dataclass(frozen=True)
class Step:
    """One shell script of a recipe. What it does stands in its first comment."""

    script: Path

    @property
    def title(self) -> str:
        """What the script does, in a few words."""
        comments = (line for line in self.script.read_text().splitlines() if line.startswith("# "))
        return next(comments, self.script.name).removeprefix("# ")


@dataclass(frozen=True)
class Recipe:
    """A directory of shell scripts that build a toolchain, run in the order of their numbers.

    Each runs in the same scratch directory, with ``RECIPE`` (the directory of the recipe), ``RECIPE_KEY``, ``RESULT``
    (the directory to fill) and ``JOBS`` (how much to do at a time) in its environment, and ends at the first command
    that fails. One that was interrupted runs again from its start. ``packages`` lists the Debian packages they need.
    """

    name: str
    directory: Path
    compiler: str
    """The compiler driver, as a path inside the result."""

    @cached_property
    def steps(self) -> tuple[Step, ...]:
        """The scripts, in order."""
        scripts = [path for path in self.directory.iterdir() if path.name[0].isdigit()]
        return tuple(Step(path) for path in sorted(scripts, key=lambda path: int(path.name.partition("-")[0])))

    @cached_property
    def packages(self) -> tuple[str, ...]:
        """The Debian packages that the scripts need."""
        lines = (self.directory / "packages").read_text().splitlines()
        return tuple(line for line in lines if line and not line.startswith("#"))

    @cached_property
    def key(self) -> str:
        """A hash of the recipe, and of the system whose compiler and libraries it uses."""
        paths = sorted(path for path in self.directory.rglob("*") if path.is_file())
        contents = (part for path in paths for part in (str(path.relative_to(self.directory)), path.read_bytes()))
        return content_key([platform.machine(), *_system(), *contents])

    @property
    def home(self) -> Path:
        """Where the toolchain is once it has been built."""
        return cache_root() / "toolchains" / self.key

    def built(self) -> Path | None:
        """Return the compiler, or None where the toolchain has not been built, or is no longer as it was."""
        return self.home / self.compiler if is_sealed(self.home) else None


def find_recipe(name: str) -> Recipe | None:
    """Return the recipe of the toolchain ``name``, or None where there is none."""
    if name != "xtensa":
        return None
    return Recipe(name, Path(__file__).parent / name, "bin/xtensa-elf-gcc")


def _system() -> tuple[str, str]:
    try:
        release = platform.freedesktop_os_release()
    except OSError:
        return platform.system(), platform.release()
    return release["ID"], release.get("VERSION_ID", "")
