"""`emu build`: a model becomes firmware."""

from pathlib import Path
from typing import Annotated

import typer

from emu.build import build_firmware
from emu.commands.output_files import write_file
from emu.commands.parameters import BoardFiles, TargetName
from emu.model.sources import find_model
from emu.printable import printable
from emu.targets import find_target, load_targets


def build(
    model: Annotated[str, typer.Argument(help="A demo's name, a checkpoint or a .mamba image.")],
    target: TargetName,
    output: Annotated[Path, typer.Option("--output", "-o", help="The firmware to write (.elf).")],
    board: BoardFiles = None,
) -> None:
    """Build the firmware that runs a model on a target's board."""
    chosen = find_target(target, load_targets(board or ()))
    elf = build_firmware(find_model(model).image, chosen.board)
    write_file(output, elf.read_bytes())
    print(f"{printable(str(output))}: {output.stat().st_size:,} bytes, for {target}")
