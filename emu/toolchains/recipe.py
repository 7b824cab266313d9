"""Recipes: scripts that build a toolchain for which no package exists."""

import platform
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from emu.cache import cache_root, content_key, is_sealed


@dataclass(frozen=True)
class Step:
    """One shell script of a recipe. The first comment of the script is the step's title."""

    script: Path

    @property
    def title(self) -> str:
        """What the script does, in a few words."""
        comments = (line for line in self.script.read_text().splitlines() if line.startswith("# "))
        return next(comments, self.script.name).removeprefix("# ")


@dataclass(frozen=True)
class Recipe:
    """A directory of shell scripts that build a toolchain. The scripts run in the order of their numbers.

    All scripts run in one scratch directory. Their environment has these variables:

    - ``RECIPE``: the directory of the recipe;
    - ``RECIPE_KEY``: the key of the recipe;
    - ``RESULT``: the directory to fill;
    - ``JOBS``: the number of jobs to run at a time.

    A script ends at the first command that fails. An interrupted script runs again from its start. The file
    ``packages`` lists the Debian packages that the scripts need.
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
        """A hash of the recipe, and of the system whose compiler and libraries the recipe uses."""
        paths = sorted(path for path in self.directory.rglob("*") if path.is_file())
        contents = (part for path in paths for part in (str(path.relative_to(self.directory)), path.read_bytes()))
        return content_key([platform.machine(), *_system(), *contents])

    @property
    def home(self) -> Path:
        """The directory of the built toolchain."""
        return cache_root() / "toolchains" / self.key

    def built(self) -> Path | None:
        """Return the compiler, or None if the toolchain was never built or has been changed since."""
        return self.home / self.compiler if is_sealed(self.home) else None


def find_recipe(name: str) -> Recipe | None:
    """Return the recipe of the toolchain ``name``, or None if there is none."""
    if name != "xtensa":
        return None
    return Recipe(name, Path(__file__).parent / name, "bin/xtensa-elf-gcc")


def _system() -> tuple[str, str]:
    try:
        release = platform.freedesktop_os_release()
    except OSError:
        return platform.system(), platform.release()
    return release["ID"], release.get("VERSION_ID", "")
