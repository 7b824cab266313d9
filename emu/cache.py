"""The cache of what is built: directories under ``~/.cache/emu``, each named by a hash of all that went into it."""

import fcntl
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

from emu.errors import EmuError


def cache_root() -> Path:
    """Return the cache's directory: ``$XDG_CACHE_HOME/emu``, or ``~/.cache/emu``."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "emu"


def content_key(parts: Iterable[bytes | str]) -> str:
    """Return a hash of the parts, in order; each part's length counts, so that parts cannot run into each other."""
    digest = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        digest.update(len(data).to_bytes(8, "little") + data)
    return digest.hexdigest()[:24]


def cached(kind: str, key: str, make: Callable[[Path], None], root: Path | None = None) -> Path:
    """Return the directory ``kind/key``, filled by ``make(directory)`` where it does not exist yet.

    It appears whole or not at all, also when one that makes it is killed. Of several processes that want it at the same
    time one makes it, and the others wait. ``root`` is the cache's directory where it is not ``cache_root()``. Raises
    EmuError where the cache cannot be written.
    """
    root = root or cache_root()
    final = root / kind / key
    if final.is_dir():
        return final
    try:
        final.parent.mkdir(parents=True, exist_ok=True)
        locks = root / "locks"
        locks.mkdir(exist_ok=True)
        lock = (locks / f"{kind}-{key}").open("w")
    except OSError as error:
        raise EmuError(
            f"{root}: the cache cannot be written: {error.strerror}; set XDG_CACHE_HOME to a directory that can"
        ) from error
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # gives way when its holder ends, however that happens
        if not final.is_dir():
            _make(final, make)
    return final


def _make(final: Path, make: Callable[[Path], None]) -> None:
    draft = Path(tempfile.mkdtemp(prefix=f"{final.name}.", dir=final.parent))
    try:
        make(draft)
        draft.chmod(0o755)
        draft.rename(final)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
