"""`emu build`: a model becomes firmware."""

from pathlib import Path
from typing import Annotated

import typer

from emu.commands.parameters import BoardFiles, Settings, TargetName, board_files


def build(
    model: Annotated[str, typer.Argument(help="A demo's name, a checkpoint or a .mamba image.")],
    target: TargetName,
    output: Annotated[Path, typer.Option("--output", "-o", help="The firmware to write (.elf).")],
    board: BoardFiles = None,
    settings: Settings = None,
) -> None:
    """Build the firmware that runs a model on a target's board."""
    from emu.build import build_firmware
    from emu.model.sources import find_model
    from emu.model.stated import parse_settings
    from emu.printable import printable
    from emu.targets import find_target, load_targets
    from emu.writing import require_distinct, write_file

    chosen = find_target(target, load_targets(board or ()))
    source = find_model(model, parse_settings(settings or ()))
    require_distinct([*source.files, *board_files(board, [chosen])], [output])
    elf = build_firmware(source.image, chosen.board)
    write_file(output, elf.read_bytes())
    print(f"{printable(str(output))}: {output.stat().st_size:,} bytes, for {target}")
