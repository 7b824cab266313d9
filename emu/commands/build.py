"""`emu build`: a model becomes firmware."""

from pathlib import Path
from typing import Annotated

import typer

from emu.commands.parameters import BoardFiles, Settings, TargetName, board_files, chosen_targets, known_targets


def build(
    model: Annotated[str, typer.Argument(help="A demo's name, a checkpoint or a .mamba image.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The firmware to write (.elf).")],
    target: TargetName = None,
    board: BoardFiles = None,
    settings: Settings = None,
) -> None:
    """Build the firmware that runs a model on a target's board."""
    from emu.build import build_firmware
    from emu.model.sources import find_model
    from emu.model.stated import parse_settings
    from emu.printable import printable
    from emu.writing import require_distinct, write_file

    chosen, *_ = chosen_targets(None if target is None else [target], known_targets(board))
    source = find_model(model, parse_settings(settings or ()))
    require_distinct([*source.files, *board_files(board, [chosen])], [output])
    elf = build_firmware(source.image, chosen.board)
    write_file(output, elf.read_bytes())
    print(f"{printable(str(output))}: {output.stat().st_size:,} bytes, for {chosen.name}")
