"""`emu board`: new board files."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from emu.boards.writing import BoardFiles

board = typer.Typer(no_args_is_help=True, help="Board files.")


@board.callback()
def _commands() -> None:
    """Board files."""


@board.command("new")
def new(
    name: Annotated[str, typer.Argument(help="The board's name: lower-case letters and digits.")],
    like: Annotated[
        str | None, typer.Option("--like", metavar="BOARD", help="Copy this board of emu's, to change the copy.")
    ] = None,
    svd: Annotated[
        Path | None, typer.Option("--svd", metavar="FILE.svd", help="The chip's CMSIS-SVD file: core and peripherals.")
    ] = None,
    linker_script: Annotated[
        Path | None,
        typer.Option(
            "--linker-script", metavar="FILE.ld", help="Your linker script: its MEMORY is the board's memory."
        ),
    ] = None,
    directory: Annotated[Path, typer.Option("--directory", help="Where the two files go.")] = Path(),
) -> None:
    """Write a board file and its linker script: a copy of a board, or the board of an SVD file and a linker script."""
    from emu.errors import InputError
    from emu.targets import load_board
    from emu.writing import require_distinct, write_file

    if re.fullmatch(r"[a-z0-9]+", name) is None:
        raise InputError(f'"{name}" is no name of a board: it has lower-case letters and digits only')
    files = _files(name, like, svd, linker_script)
    board_path, script_path = directory / f"{name}.toml", directory / f"{name}.ld"
    for path in (board_path, script_path):
        if path.exists():
            raise InputError(f"{path}: exists; give the board another name, or remove the file")
    require_distinct([svd, linker_script], [board_path, script_path])
    write_file(script_path, files.linker_script.encode())
    write_file(board_path, files.board.encode())
    targets = ", ".join(f"{name}-{emulator}" for emulator in load_board(board_path).emulators)
    print(f"{board_path}: {targets}")


def _files(name: str, like: str | None, svd: Path | None, linker_script: Path | None) -> "BoardFiles":
    from emu.boards.copying import copy_board
    from emu.boards.linker_script import read_memory
    from emu.boards.svd import read_device
    from emu.boards.writing import new_board
    from emu.errors import InputError
    from emu.reading import read_file

    match like, svd, linker_script:
        case str(), None, None:
            return copy_board(name, like)
        case None, Path(), Path():
            device = read_file(svd, "an SVD file", read_device)
            memories = read_file(linker_script, "a linker script", lambda data: read_memory(data.decode()))
            return new_board(name, memories, device)
        case _:
            raise InputError("give --like BOARD, or --svd FILE.svd with --linker-script FILE.ld")
