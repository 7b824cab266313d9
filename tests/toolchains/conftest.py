"""A home of its own for each test, with fake compilers and fake recipes in it."""

import os
from pathlib import Path

import pytest
from scripts import MakeRecipe, write_script

from emu.toolchains.recipe import Recipe


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home directory, and nothing of the user's in the environment."""
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("XDG_CACHE_HOME", str(home / ".cache"))
    monkeypatch.delenv("IDF_TOOLS_PATH", raising=False)
    return home


@pytest.fixture
def debian(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The commands of a Debian that has the package ``present``, and once had the package ``removed``."""
    commands = home / "commands"
    write_script(commands / "apt-get", "exit 1")
    write_script(commands / "dpkg-query", "echo present installed; echo removed config-files; exit 1")
    monkeypatch.setenv("PATH", str(commands), prepend=os.pathsep)
    return commands


@pytest.fixture
def make_recipe(tmp_path: Path) -> MakeRecipe:
    """Make a recipe of the given scripts, in their order, for a compiler ``bin/compiler``."""

    def make(*scripts: str, packages: str = "present") -> Recipe:
        directory = tmp_path / "recipe"
        directory.mkdir(exist_ok=True)
        (directory / "packages").write_text(f"# what it needs\n{packages}\n")
        for number, script in enumerate(scripts, 1):
            write_script(directory / f"{number}-step", f"# Step {number}\nset -eu\n{script}")
        return Recipe("fake", directory, "bin/compiler")

    return make
