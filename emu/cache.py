"""The cache of what is built: directories under ``~/.cache/emu``, each named by a hash of all that went into it."""

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


def cached(kind: str, key: str, make: Callable[[Path], None]) -> Path:
    """Return the directory ``kind/key``, filled by ``make(directory)`` where it does not exist yet.

    It appears whole or not at all, also when several processes make it at the same time or one is killed. Raises
    EmuError where the cache cannot be written.
    """
    final = cache_root() / kind / key
    if final.is_dir():
        return final
    try:
        final.parent.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix=f"{key}.", dir=final.parent))
    except OSError as error:
        raise EmuError(
            f"{cache_root()}: the cache cannot be written: {error.strerror}; set XDG_CACHE_HOME to a directory that can"
        ) from error
    try:
        make(draft)
        draft.chmod(0o755)
        try:
            draft.rename(final)
        except OSError:
            if not final.is_dir():  # otherwise another process was first with the same content
                raise
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return final
