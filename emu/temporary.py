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


@contextlib.contextmanager
def temporary_directory(prefix: str) -> Iterator[Path]:
    """Make a directory among the system's temporary files, and remove it after the block."""
    parent = Path(tempfile.gettempdir())
    with _held(parent, f"{prefix}*", lambda: _opened(tempfile.mkdtemp(prefix=prefix, dir=parent))) as (path, _):
        yield path


@contextlib.contextmanager
def temporary_file(prefix: str, suffix: str, directory: Path, mode: int) -> Iterator[tuple[Path, int]]:
    """Make an empty file, yield its path and descriptor, and remove it after the block unless it has another name."""

    def make() -> tuple[Path, int]:
        path = directory / f"{prefix}{os.urandom(8).hex()}{suffix}"
        return path, os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)

    with _held(directory, f"{prefix}*{suffix}", make) as made:
        yield made


@contextlib.contextmanager
def _held(directory: Path, pattern: str, make: Callable[[], tuple[Path, int]]) -> Iterator[tuple[Path, int]]:
    _remove_what_the_dead_left(directory, pattern)
    while True:
        path, descriptor = make()
        try:
            with contextlib.suppress(OSError):  # a file system without locks
                fcntl.flock(descriptor, fcntl.LOCK_EX)
            if not is_file_at(path, descriptor):  # another process took it for a killed process's file before the lock
                continue
            yield path, descriptor
            return
        finally:
            with contextlib.suppress(OSError):
                remove(path)
            os.close(descriptor)


def _remove_what_the_dead_left(directory: Path, pattern: str) -> None:
    for path in directory.glob(pattern):
        with contextlib.suppress(OSError):
            _, descriptor = _opened(path)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)  # raises as long as its maker lives
                if os.fstat(descriptor).st_uid == os.geteuid():
                    remove(path)
            finally:
                os.close(descriptor)


def _opened(path: str | Path) -> tuple[Path, int]:
    return Path(path), os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)


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
