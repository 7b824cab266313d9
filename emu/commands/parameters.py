"""Parameters that several commands have."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from emu.targets import Target


def target_names(incomplete: str) -> list[str]:
    """Return the names of targets for the shell's completion."""
    from emu.errors import EmuError

    try:
        return [name for name in known_targets(None) if name.startswith(incomplete)]
    except EmuError:  # a damaged file is told when a command runs
        return []


BoardFiles = Annotated[
    list[Path] | None,
    typer.Option(
        "--board",
        metavar="FILE.toml",
        envvar="EMU_BOARD",
        help="A board of your own, whose targets join emu's and those of emu.toml; repeatable.",
    ),
]
TargetName = Annotated[
    str | None,
    typer.Option(
        "--target",
        "-t",
        envvar="EMU_TARGET",
        autocompletion=target_names,
        help="A board on an emulator; `emu targets` lists them. Default: that of emu.toml, else stm32h7-unicorn.",
    ),
]
TargetNames = Annotated[
    list[str] | None,
    typer.Option(
        "--target",
        "-t",
        envvar="EMU_TARGET",
        autocompletion=target_names,
        help="A board on an emulator; repeatable. Default: those of emu.toml, else stm32h7-unicorn.",
    ),
]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="State what no tensor of the checkpoint shows, such as pooling=last; repeatable. MODEL.emu.toml next to "
        "the checkpoint states it for every command.",
    ),
]
Weights = Annotated[
    Path | None,
    typer.Option(help="The checkpoint that is loaded into the module of my_model.py:build."),
]


def known_targets(boards: list[Path] | None) -> dict[str, Target]:
    """Return emu's targets, those of the project's boards, and those of ``boards``."""
    from emu.project import find_project
    from emu.targets import load_targets

    return load_targets([*find_project(Path()).boards, *(boards or ())])


def chosen_targets(names: list[str] | None, known: Mapping[str, Target]) -> list[Target]:
    """Return the targets ``names``, or else the project's, or else the default."""
    from emu.emulators import DEFAULT_TARGET
    from emu.project import find_project
    from emu.targets import find_target

    chosen = names or find_project(Path()).targets or [DEFAULT_TARGET]
    return [find_target(name, known) for name in chosen]


def board_files(given: list[Path] | None, targets: Iterable[Target]) -> list[Path | None]:
    """Return the files that say what the boards of ``targets`` are: board files and linker scripts."""
    return [*(given or ()), *(target.board.build.linker_script for target in targets)]
