"""A board like one of emu's own."""

import re
from pathlib import Path

from emu.boards.writing import BoardFiles
from emu.errors import InputError
from emu.resources import resource
from emu.targets import load_board


def known_boards() -> dict[str, Path]:
    """Return the board files to copy, by the boards' names: those with targets of their own, and others."""
    paths = [*resource("targets").glob("*.toml"), *resource("targets/others").glob("*.toml")]
    boards = {load_board(path).name: path for path in sorted(paths)}
    return {name: path for name, path in boards.items() if load_board(path).build.linker_script is not None}


def copy_board(name: str, like: str) -> BoardFiles:
    """Return the files of the board ``like`` under another name; raises InputError if there is no such board."""
    boards = known_boards()
    if like not in boards:
        raise InputError(f'there is no board "{like}" to copy, only {", ".join(boards)}')
    script = load_board(boards[like]).build.linker_script
    assert script is not None, "known_boards leaves out boards without a linker script"
    text = boards[like].read_text()
    text = re.sub(r'(?m)^name = ".*"$', f'name = "{name}"', text, count=1)
    text = re.sub(r'(?m)^linker_script = ".*"$', f'linker_script = "{name}.ld"', text, count=1)
    return BoardFiles(text, script.read_text())
