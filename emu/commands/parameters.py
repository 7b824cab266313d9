"""Parameters that several commands have."""

from pathlib import Path
from typing import Annotated

import typer

BoardFiles = Annotated[
    list[Path] | None,
    typer.Option("--board", metavar="FILE.toml", help="A board of your own, whose targets join emu's; repeatable."),
]
TargetName = Annotated[str, typer.Option("--target", "-t", help="A board on an emulator; `emu targets` lists them.")]
