"""Files and directories that a command writes, or one line that says why it cannot."""

from pathlib import Path

from emu.errors import InputError


def write_file(path: Path, data: bytes) -> None:
    """Write a file; raises InputError if it cannot be written."""
    try:
        path.write_bytes(data)
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {error.strerror}") from error


def make_directory(path: Path) -> None:
    """Make a directory unless it exists; raises InputError if it cannot be made."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{path}: no directory for the report can be made there: {error.strerror}") from error
