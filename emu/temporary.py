"""Temporary files and directories: whoever makes one removes those next to it that killed processes left.

The maker holds a lock on the file or directory. The kernel frees the lock when the maker ends, even by SIGKILL.
"""

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

_RANDOM_BYTES = 8
_RANDOM_PART = "[0-9a-f]" * 2 * _RANDOM_BYTES
_MARKER = "made-by-emu"
"""A file in each directory: a user's own directory may have such a name, too, and must not be removed."""


@contextlib.contextmanager
def temporary_directory(prefix: str) -> Iterator[Path]:
    """Make a directory among the system's temporary files, and remove it after the block."""

    def make(path: Path) -> int:
        path.mkdir(mode=0o700)
        return _opened(path)

    with _held(Path(tempfile.gettempdir()), prefix, "", make) as (path, _):
        (path / _MARKER).touch()
        yield path


@contextlib.contextmanager
def temporary_file(prefix: str, suffix: str, directory: Path, mode: int) -> Iterator[tuple[Path, int]]:
    """Make an empty file, yield its path and descriptor, and remove it after the block unless it has another name."""

    def make(path: Path) -> int:
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)

    with _held(directory, prefix, suffix, make) as made:
        yield made


@contextlib.contextmanager
def _held(directory: Path, prefix: str, suffix: str, make: Callable[[Path], int]) -> Iterator[tuple[Path, int]]:
    _remove_what_the_dead_left(directory, f"{prefix}{_RANDOM_PART}{suffix}")
    while True:
        path = directory / f"{prefix}{os.urandom(_RANDOM_BYTES).hex()}{suffix}"
        descriptor = make(path)
        try:
            with contextlib.suppress(OSError):  # a file system without locks
                fcntl.flock(descriptor, fcntl.LOCK_EX)
            if not is_file_at(path, descriptor):  # another process took it for a killed process's file before the lock
                continue
            yield path, descriptor
            return
        finally:
            with contextlib.suppress(OSError):
                _remove_marker_last(path)
            os.close(descriptor)


def _remove_what_the_dead_left(directory: Path, pattern: str) -> None:
    for path in directory.glob(pattern):
        with contextlib.suppress(OSError):
            descriptor = _opened(path)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)  # raises as long as its maker lives
                if os.fstat(descriptor).st_uid == os.geteuid() and _is_made_here(path):
                    _remove_marker_last(path)
            finally:
                os.close(descriptor)


def _is_made_here(path: Path) -> bool:
    """Return whether ``path`` is a file, or a directory with the marker, or an empty one, whose removal loses nothing.

    A file has no marker, as it becomes a user's file.
    """
    return not path.is_dir() or (path / _MARKER).exists() or not any(path.iterdir())


def _remove_marker_last(path: Path) -> None:
    """Remove a file, or a directory so that whoever finds the rest after a kill can still remove it."""
    if path.is_dir():
        for child in path.iterdir():
            if child.name != _MARKER:
                remove(child)
    remove(path)


def _opened(path: Path) -> int:
    return os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)


def remove(path: Path) -> None:
    """Remove a file, a link, or a directory with its contents; do nothing if there is none."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def is_file_at(path: Path, descriptor: int) -> bool:
    """Return whether the file of ``descriptor`` is still at ``path``."""
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False
