"""Processes that end with this process, whatever ends it: each heads a group, and the whole group is ended."""

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO

from emu.errors import MissingToolError

_GUARD = 'exec 3<&0 </dev/null; (read _ <&3; kill -KILL 0) >/dev/null 2>&1 & "$@" 3<&-; code=$?; kill $!; exit $code'
"""A shell that heads the group. It ends the group when its input, a pipe, closes: even SIGKILL closes our end."""


_VERSION_SECONDS = 60.0


def version_line(program: Path) -> str | None:
    """Return the first line of ``program --version``, or None if the program fails.

    Raises MissingToolError if it does not end in time.
    """
    with guarded([program, "--version"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        try:
            answer, _ = process.communicate(timeout=_VERSION_SECONDS)
        except subprocess.TimeoutExpired as error:
            message = f"{program} --version does not end in {_VERSION_SECONDS:g} seconds; mend or remove {program}"
            raise MissingToolError(message) from error
    return None if process.returncode else answer.decode(errors="replace").partition("\n")[0]


@contextlib.contextmanager
def guarded(
    command: Sequence[str | Path],
    *,
    stdout: int | IO[bytes] | None = None,
    stderr: int | None = None,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program without input in a group of its own, and end the group after the block.

    The options are those of ``subprocess.Popen``. Raises OSError if this system has no shell.
    """
    alive, keep_alive = os.pipe()
    with os.fdopen(keep_alive, "wb"):
        with os.fdopen(alive, "rb"):
            process = subprocess.Popen(
                ["/bin/sh", "-c", _GUARD, "sh", *command],
                stdin=alive,
                start_new_session=True,  # this process handles an interrupt from the terminal
                stdout=stdout,
                stderr=stderr,
                cwd=cwd,
                env=env,
            )
        try:
            yield process
        finally:
            end_group(process)


def end_group(process: subprocess.Popen[bytes]) -> None:
    """Kill a process and its group, and wait for the process to end."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    if process.stdin is not None:
        process.stdin.close()
    process.wait()
