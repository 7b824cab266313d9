"""Whatever ends pytest, even SIGKILL, also ends all processes that its tests have started.

A variable of the environment marks these processes, and the workers of xdist. A guard outside reads a pipe of pytest;
when the pipe closes, the guard kills the processes with the mark. It finds them in /proc, so on Linux only.
"""

import os
import subprocess

import pytest

MARK = "EMU_STARTED_BY_TESTS_OF"
_GUARD = """
read -r _
for process in /proc/[0-9]*; do
    tr '\\0' '\\n' <"$process/environ" | grep -qx "$1" && kill -KILL "${process#/proc/}"
done
"""
_GUARDS: pytest.StashKey["subprocess.Popen[bytes]"] = pytest.StashKey()


def pytest_configure(config: pytest.Config) -> None:
    """Start the guard, unless this is a worker of another pytest, which has one."""
    if MARK in os.environ:
        return
    mark = f"{MARK}={os.getpid()}"
    config.stash[_GUARDS] = subprocess.Popen(
        ["sh", "-c", _GUARD, "sh", mark],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    os.environ[MARK] = str(os.getpid())


def pytest_unconfigure(config: pytest.Config) -> None:
    """End the guard: pytest ends in order, and each test has ended its processes."""
    guard = config.stash.get(_GUARDS, None)
    if guard is not None:
        guard.kill()
        guard.communicate()
        del os.environ[MARK]
