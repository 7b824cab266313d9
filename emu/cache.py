"""The cache: directories under ``~/.cache/emu``, each named by a hash of all inputs of what is in it.

Each entry lists the SHA-256 of its files, and every use compares them, in less than a millisecond for a library or a
firmware. So no damaged byte reaches a loader or an emulator, which would crash at every run.
"""

import contextlib
import errno
import fcntl
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from emu.errors import OutputError
from emu.temporary import is_file_at, remove

_MANIFEST = "manifest"
_CONTENT = "content"
_DRAFTS, _LOCKS = "drafts", "locks"
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT)


def cache_root() -> Path:
    """Return the cache's directory: ``$XDG_CACHE_HOME/emu``, or ``~/.cache/emu``."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache").absolute() / "emu"


def content_key(parts: Iterable[bytes | str]) -> str:
    """Return a hash of the parts, in order; each part's length counts, so that parts cannot run into each other."""
    digest = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        digest.update(len(data).to_bytes(8, "little") + data)
    return digest.hexdigest()[:24]


def cached(kind: str, key: str, make: Callable[[Path], None], root: Path | None = None) -> Path:
    """Return the directory ``kind/key``, filled by ``make(directory)`` if it does not exist yet or is damaged.

    The directory appears whole or not at all, even if the process that makes it is killed. If several processes want
    it, one makes it, and the others wait. ``root`` is the cache's directory, by default ``cache_root()``. Raises
    OutputError if the cache cannot be written.
    """
    root = root or cache_root()
    final = root / kind / key
    if is_sealed(final):
        return final
    with _writing(root):
        for directory in (final.parent, root / _DRAFTS, root / _LOCKS):
            directory.mkdir(parents=True, exist_ok=True)
    name = f"{kind}-{key}"
    with _locked(root, name):
        if not is_sealed(final):
            _make(root, name, final, make)
    _remove_what_the_dead_left(root)
    return final


def kept(kind: str, key: str, make: Callable[[], bytes]) -> bytes:
    """Return the bytes that ``make`` returns, from the entry ``kind/key`` if there is one.

    They can be made again, so a cache that cannot be written or read costs only time.
    """
    made: list[bytes] = []

    def write(directory: Path) -> None:
        made.append(make())
        (directory / _CONTENT).write_bytes(made[0])

    try:
        return (cached(kind, key, write) / _CONTENT).read_bytes()
    except (OutputError, FileNotFoundError):
        return made[0] if made else make()


def seal(directory: Path) -> None:
    """Write down the hash of every file in ``directory``."""
    (directory / _MANIFEST).write_text(_manifest(directory))


def is_sealed(directory: Path) -> bool:
    """Return whether ``directory`` exists and every file in it is unchanged since it was sealed."""
    try:
        return (directory / _MANIFEST).read_text() == _manifest(directory)
    except (OSError, UnicodeDecodeError):
        return False


def _manifest(directory: Path) -> str:
    paths = sorted(path for path in directory.rglob("*") if path.is_file() and path.name != _MANIFEST)
    return "".join(f"{_sha256(path)}  {path.relative_to(directory)}\n" for path in paths)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _make(root: Path, name: str, final: Path, make: Callable[[Path], None]) -> None:
    with _writing(root):
        draft = Path(tempfile.mkdtemp(prefix=f"{name}.", dir=root / _DRAFTS))
    try:
        try:
            make(draft)
        except OSError as error:
            if error.errno in _NO_ROOM:
                raise _unwritable(root, error) from error
            raise
        with _writing(root):
            draft.chmod(0o755)
            seal(draft)
            _flush(draft)
            remove(final)  # a damaged entry, or a file in its place
            draft.rename(final)
            _sync(final.parent)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _flush(directory: Path) -> None:
    """Bring every file to the disk: after a power cut, an entry with its name has all its bytes."""
    for path in [*directory.rglob("*"), directory]:
        _sync(path)


def _sync(path: Path) -> None:
    file = os.open(path, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)


@contextlib.contextmanager
def _locked(root: Path, name: str) -> Iterator[None]:
    """Hold the lock of an entry. The kernel frees the lock when its holder ends, even by SIGKILL."""
    path = root / _LOCKS / name
    while True:
        with _writing(root):
            lock = path.open("w")
        with lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not is_file_at(path, lock.fileno()):  # its last holder removed it meanwhile
                continue
            try:
                yield
            finally:
                path.unlink(missing_ok=True)
            return


def _remove_what_the_dead_left(root: Path) -> None:
    """Remove the drafts and locks that nobody holds: those of processes that were killed."""
    names = {path.name for path in (root / _LOCKS).glob("*")}
    names |= {path.stem for path in (root / _DRAFTS).glob("*")}
    for name in names:
        path = root / _LOCKS / name
        with contextlib.suppress(OSError), path.open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # raises while its holder lives
            if is_file_at(path, lock.fileno()):
                for draft in (root / _DRAFTS).glob(f"{name}.*"):
                    shutil.rmtree(draft, ignore_errors=True)
                path.unlink(missing_ok=True)


@contextlib.contextmanager
def _writing(root: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise _unwritable(root, error) from error


def _unwritable(root: Path, error: OSError) -> OutputError:
    return OutputError(
        f"{root}: the cache cannot be written: {error.strerror}; make room there, or set XDG_CACHE_HOME to a directory "
        "that can be written"
    )
