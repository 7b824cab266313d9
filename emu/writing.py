"""Write a user's file: never over a file that a command reads, and whole or not at all. An error is one line."""

import contextlib
import errno
import os
import stat
import sys
from collections.abc import Iterable
from itertools import combinations
from pathlib import Path

from emu.errors import InputError, OutputError
from emu.temporary import temporary_file

STDOUT = Path("-")
"""The path with which a user asks for a file's text in the place of what a command prints."""
_FORBIDDEN = (errno.EPERM, errno.EACCES, errno.EINVAL)
"""How systems refuse another owner (EINVAL: the container does not know the owner) or a place in a sticky directory."""


def require_distinct(read: Iterable[Path | None], written: Iterable[Path | None]) -> None:
    """Raise InputError if a command would overwrite a file that it reads, or one of its outputs with another.

    A link counts as the file that it leads to. A directory in ``written`` stands for all files below it. None stands
    for no file.
    """
    inputs, outputs = ([path for path in paths if path is not None] for paths in (read, written))
    for output in outputs:
        for path in inputs:
            if _overwrites(output, path):
                raise InputError(f"{output}: would overwrite {path}, which is read; give the output another name")
    for first, second in combinations(outputs, 2):
        if _overwrites(first, second) or _overwrites(second, first):
            raise InputError(f"{second}: would overwrite {first}, another output; give each a name of its own")


def write_output(path: Path, data: bytes) -> None:
    """Write a file as ``write_file`` does; the path ``-`` stands for what the program prints."""
    if path == STDOUT:
        sys.stdout.flush()
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
    else:
        write_file(path, data)


def write_file(path: Path, data: bytes) -> None:
    """Write a file, or leave an existing one unchanged; raises OutputError if the file cannot be written.

    A file that no new file can replace is written in place, and is not whole if the disk is full.
    """
    try:
        if not (_is_replaceable(path) and _replace(Path(os.path.realpath(path)), data)):
            path.write_bytes(data)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror}") from error


def make_directory(path: Path) -> None:
    """Make a directory unless it exists; raises OutputError if it cannot be made."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{path}: no directory for the report can be made there: {error.strerror}") from error


def _overwrites(output: Path, other: Path) -> bool:
    if (
        STDOUT in (output, other) or _is_stream(output) or _is_stream(other)
    ):  # /dev/null, a pipe: there is no file to lose
        return False
    real, of_other = Path(os.path.realpath(output)), Path(os.path.realpath(other))
    if of_other.is_relative_to(real):
        return True
    with contextlib.suppress(OSError):
        return output.samefile(other)  # two names of one file
    return False


def _is_stream(path: Path) -> bool:
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError):  # no file is there, or none can be: the name is too long
        return False
    return not stat.S_ISREG(mode) and not stat.S_ISDIR(mode)


def _is_replaceable(path: Path) -> bool:
    """Return whether a new file may replace ``path``; if not, the file is written in place.

    A new file must not replace a device or a pipe. A name such as /dev/stdout leads to a file that somebody holds open.
    In a directory that takes no new file, the existing file may still be writable.
    """
    is_held_open = path.absolute().is_relative_to("/dev") or path.absolute().is_relative_to("/proc")
    real = Path(os.path.realpath(path))
    if is_held_open or not (real.is_file() or not real.exists()):
        return False
    return not real.exists() or (os.access(real, os.W_OK) and os.access(real.parent, os.W_OK) and not real.is_mount())


def _replace(path: Path, data: bytes) -> bool:
    """Write ``data`` to a draft next to ``path``, and rename the draft when all of it is on the disk.

    Return False if the system forbids to give the draft the owner of ``path``, or its place.
    """
    old = path.stat() if path.exists() else None
    mode = 0o666 if old is None else stat.S_IMODE(old.st_mode)
    with temporary_file(".emu-", ".draft", path.parent, mode) as (draft, descriptor):
        try:
            if old is not None:
                os.fchown(descriptor, old.st_uid, old.st_gid)
                os.fchmod(descriptor, mode)  # after the owner, whose change clears bits of the mode
            with os.fdopen(descriptor, "wb", closefd=False) as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            draft.replace(path)
        except OSError as error:
            if error.errno not in _FORBIDDEN:
                raise
            return False
    return True
