"""Shell scripts that stand in for compilers and for the steps of a recipe."""

from collections.abc import Callable
from pathlib import Path

from emu.toolchains.recipe import Recipe

MakeRecipe = Callable[..., Recipe]


def write_script(path: Path, text: str) -> Path:
    """Write a shell script that can be run."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path
