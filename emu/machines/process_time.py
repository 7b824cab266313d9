"""The seconds that an emulator, or firmware, spends as a process with children: its work, and its sleep.

While the process waits for a processor, no time counts: a busy host must not end a run. Sleep counts in full.
"""

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from os import sysconf
from pathlib import Path

_INTERVAL_SECONDS = 0.02
_LONGEST_SLEEP = 0.2
"""The most seconds of sleep between two looks: the host may have kept this process from looking."""
_TICK = 1 / sysconf("SC_CLK_TCK")
_BUSY = ("R", "D")
"""The states of a thread that works, or would work if the host let it."""
_TIMES = slice(11, 15)
"""The times of a process and its ended children in ``/proc/PID/stat``, after the state (proc(5))."""


@dataclass(frozen=True)
class _Look:
    at: float
    work: float
    """Processor time of the process, its children, and this thread."""


class ProcessTime:
    """Seconds of a process and its children, from now on."""

    def __init__(self, process: int):
        self._process = process
        self._last, _ = self._look(time.monotonic())
        self._spent = 0.0

    def spent(self) -> float:
        """Return the seconds that count: the processor time of emu and the process, and the sleep of the process."""
        now = time.monotonic()
        if now - self._last.at >= _INTERVAL_SECONDS:
            look, sleeps = self._look(now)
            asleep = min(now - self._last.at, _LONGEST_SLEEP) if sleeps else 0.0
            self._spent += max(look.work - self._last.work, asleep)
            self._last = look
        return self._spent

    def _look(self, now: float) -> tuple[_Look, bool]:
        """Return the times so far, and whether the process sleeps."""
        work, busy = time.thread_time(), False
        for process in _family(self._process):
            work += sum(map(int, _stat(process)[_TIMES])) * _TICK
            busy |= any(_stat(thread)[0] in _BUSY for thread in _threads(process))
        return _Look(now, work), not busy


def _family(process: int) -> Iterator[Path]:
    """Yield the directories of a process and its descendants."""
    directory = Path(f"/proc/{process}")
    yield directory
    for thread in _threads(directory):
        for child in _read(thread / "children").split():
            yield from _family(int(child))


def _threads(process: Path) -> list[Path]:
    try:
        return list((process / "task").iterdir())
    except OSError:
        return []


def _stat(directory: Path) -> list[str]:
    """Return the fields of a process or a thread from its state on; an ended one is a zombie without times."""
    return _read(directory / "stat").rpartition(")")[2].split() or ["Z"]


def _read(path: Path) -> str:
    """Return a file of ``/proc``; nothing if the process has ended."""
    with contextlib.suppress(OSError):
        return path.read_text()
    return ""
