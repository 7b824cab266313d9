"""Parameters that several commands have."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from emu.targets import Target

BoardFiles = Annotated[
    list[Path] | None,
    typer.Option("--board", metavar="FILE.toml", help="A board of your own, whose targets join emu's; repeatable."),
]
TargetName = Annotated[str, typer.Option("--target", "-t", help="A board on an emulator; `emu targets` lists them.")]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="State what no tensor of the checkpoint shows, such as pooling=last; repeatable. MODEL.emu.toml next to "
        "the checkpoint states it for every command.",
    ),
]


def board_files(given: list[Path] | None, targets: Iterable[Target]) -> list[Path | None]:
    """Return the files that say what the boards of ``targets`` are: board files and linker scripts."""
    return [*(given or ()), *(target.board.build.linker_script for target in targets)]
