"""The installed Renode: its path, its version, and how to get it."""

import os
import re
import shutil
import subprocess
from functools import lru_cache
from pathlib import Path

from emu.errors import MissingToolError

VARIABLE = "EMU_RENODE"
OLDEST = (1, 16, 1)
"""The first version whose Cortex-M7 has all instructions of FPv5."""
_VERSION_SECONDS = 60.0

HOW_TO_GET = (
    "Linux: unpack renode-1.16.1.linux-portable-dotnet.tar.gz (of 1.17.0: renode-1.17.0.linux-portable.tar.gz) from "
    "github.com/renode/renode/releases and put it on the "
    f"PATH, or name its file `renode` in {VARIABLE}; macOS: renode-1.16.1-dotnet.osx-arm64-portable.dmg from there and "
    f"{VARIABLE}=/Applications/Renode.app/Contents/MacOS/renode; GitHub Actions: as .github/workflows/renode.yml does"
)


def find_renode() -> Path:
    """Return the path of Renode's command; raises MissingToolError, with the way to get it, if it is missing."""
    named = os.environ.get(VARIABLE)
    if named:
        if not os.access(named, os.X_OK) or Path(named).is_dir():
            raise MissingToolError(f"{VARIABLE} is {named}, which is not a program; {HOW_TO_GET}")
        return Path(named).absolute()
    path = shutil.which("renode")
    if path is None:
        raise MissingToolError(f"renode is not installed. {HOW_TO_GET}")
    return Path(path)


def renode_version() -> str:
    """Return the version, such as ``1.16.1``; raises MissingToolError if Renode is missing, silent or too old."""
    path = find_renode()
    try:
        known = path.stat()
    except OSError as error:
        raise MissingToolError(f"{path} does not work: {error}") from error
    return _version_of(path, known.st_mtime_ns, known.st_size)


@lru_cache
def _version_of(path: Path, _changed: int, _size: int) -> str:
    """Return the version that the program tells, which takes seconds, so an unchanged program is asked once."""
    try:
        answer = subprocess.run(
            [path, "--version"],
            check=False,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=_VERSION_SECONDS,
        ).stdout
    except (OSError, subprocess.TimeoutExpired) as error:
        raise MissingToolError(f"{path} --version does not work: {error}") from error
    match = re.search(r"(?<![\d.])(\d+)\.(\d+)\.(\d+)", answer)
    if match is None:
        first = answer.strip().partition("\n")[0]
        raise MissingToolError(f"{path} --version names no version, but says {first!r}; {HOW_TO_GET}")
    if tuple(map(int, match.groups())) < OLDEST:
        oldest = ".".join(map(str, OLDEST))
        raise MissingToolError(f"{path} is Renode {match[0]}, and {oldest} or later is needed. {HOW_TO_GET}")
    return match[0]
