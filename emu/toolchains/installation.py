"""Build a toolchain from its recipe, once. An interrupted build continues after its last finished step.

The build runs in a scratch directory next to the toolchain's home; each finished step leaves a stamp there. The last
step tries the compiler. After that step the files are sealed and moved to the home in one rename, so the home is either
complete or absent.
"""

import contextlib
import fcntl
import os
import re
import shutil
import subprocess
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Protocol

from emu.cache import cache_root, seal
from emu.errors import MissingToolError, OutputError
from emu.toolchains.recipe import Recipe, Step

_ELSEWHERE = (
    "elsewhere install Espressif's: "
    "https://docs.espressif.com/projects/esp-idf/en/stable/esp32s3/get-started/ (`install.sh esp32s3`)"
)

_RUN_STEP = """
# Whatever ends this program's parent, even SIGKILL, closes the pipe that is its input, and then all of its own end.
lock=$2
exec {alive}<&0 </dev/null
(exec {lock}>&-; read -r <&$alive; kill -KILL -- -$$) >/dev/null 2>&1 &
exec {alive}<&-
exec bash "$1"
"""


class Watcher(Protocol):
    """An object that follows the progress of a build."""

    def waits(self) -> None:
        """Report that another process builds this toolchain, and that this process waits for it."""
        ...

    def begins(self, number: int, count: int, title: str) -> None:
        """Report that step ``number`` of ``count``, counted from 1, begins."""
        ...

    def prints(self, line: str) -> None:
        """Report a line that the step printed."""
        ...

    def ends(self) -> None:
        """Report that the step is done."""
        ...


def install(recipe: Recipe, watcher: Watcher) -> None:
    """Build the recipe's toolchain into its home, unless the home has a built toolchain.

    Raises MissingToolError with the fix if a package is missing or a step fails (no network, no room on the disk),
    and OutputError if the cache cannot be written. What is done is kept; the next call goes on from there.
    """
    try:
        recipe.home.parent.mkdir(parents=True, exist_ok=True)
        with _locked(recipe.home.with_suffix(".lock"), watcher) as lock:
            scratch = recipe.home.with_suffix(".build")
            if recipe.built() is None:
                _require(recipe)
                _build(recipe, scratch, lock, watcher)
            shutil.rmtree(scratch, ignore_errors=True)
    except OSError as error:
        raise OutputError(
            f"{cache_root()}: the cache cannot be written: {error.strerror}; "
            "make room there, or set XDG_CACHE_HOME to another directory"
        ) from error


@contextlib.contextmanager
def _locked(path: Path, watcher: Watcher) -> Iterator[IO[str]]:
    """Hold the lock. The steps inherit the lock, which is free only after all their processes have ended."""
    with path.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            watcher.waits()
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield lock


def _require(recipe: Recipe) -> None:
    if shutil.which("apt-get") is None or shutil.which("dpkg-query") is None:
        raise MissingToolError(f"the {recipe.name} toolchain is built from packages of Debian or Ubuntu; {_ELSEWHERE}")
    query = ["dpkg-query", "--show", "--showformat=${Package} ${db:Status-Status}\n", *recipe.packages]
    answer = subprocess.run(query, check=False, capture_output=True, text=True).stdout.splitlines()
    missing = [package for package in recipe.packages if f"{package} installed" not in answer]
    if missing:
        raise MissingToolError(
            f"to build the {recipe.name} toolchain, packages are missing; "
            f"install them with: apt-get install {' '.join(missing)}"
        )


def _build(recipe: Recipe, scratch: Path, lock: IO[str], watcher: Watcher) -> None:
    result, stamps, log = scratch / "result", scratch / "done", scratch / "log"
    stamps.mkdir(parents=True, exist_ok=True)
    environment = os.environ | {
        "RECIPE": str(recipe.directory),
        "RECIPE_KEY": recipe.key,
        "RESULT": str(result),
        "JOBS": str(os.cpu_count() or 1),
        "LC_ALL": "C",
    }
    result.mkdir(exist_ok=True)
    for number, step in enumerate(recipe.steps, 1):
        stamp = stamps / step.script.name
        if stamp.exists():
            continue
        watcher.begins(number, len(recipe.steps), step.title)
        failure = _run(step, scratch, environment, log, lock, watcher)
        if failure is not None:
            raise MissingToolError(
                f"the {recipe.name} toolchain is not built: step {number}, {step.script.name}, failed: {failure} "
                f"(all that it printed: {log}); the same command goes on from there"
            )
        stamp.touch()
        watcher.ends()
    seal(result)
    if recipe.home.exists():  # the home exists although a build was needed: its files are damaged
        shutil.rmtree(recipe.home)
    result.rename(recipe.home)


def _run(
    step: Step, scratch: Path, environment: dict[str, str], log: Path, lock: IO[str], watcher: Watcher
) -> str | None:
    """Run the step. Return None, or if the step failed, the line of its output that best explains why."""
    lines: deque[str] = deque(maxlen=100)
    alive, keep_alive = os.pipe()
    with (
        log.open("a", encoding="utf-8") as file,
        subprocess.Popen(
            ["bash", "-c", _RUN_STEP, "bash", str(step.script), str(lock.fileno())],
            cwd=scratch,
            env=environment,
            stdin=alive,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            errors="replace",
            start_new_session=True,
            pass_fds=(lock.fileno(),),
        ) as process,
        os.fdopen(keep_alive, "wb"),
        os.fdopen(alive, "rb"),
    ):
        for line in process.stdout or ():
            file.write(line)
            lines.append(line.strip())
            watcher.prints(line.strip())
        status = process.wait()
    return None if status == 0 else _telling(list(lines)) or f"exit status {status}"


def _telling(lines: list[str]) -> str:
    """Return the last line that names an error, or else the first stop of ``make``, or else the last line."""
    errors = [line for line in lines if re.search(r"\berror: |^E: |No space left", line)]
    stops = [line for line in lines if re.match(r"make.*\*\*\* ", line)]
    return [*lines[-1:], *reversed(stops), *errors][-1].removeprefix("error: ") if lines else ""
