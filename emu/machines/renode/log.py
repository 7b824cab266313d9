"""Renode's log: accesses to nothing, and a core that cannot go on."""

import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from emu.machines.renode.robot_server import RenodeError

_ACCESS = re.compile(
    r"\[cpu: 0x(?P<pc>[0-9A-Fa-f]+)[^\]]*\] *(?P<access>Read|Write)(?P<width>Byte|DoubleWord|QuadWord|Word) "
    r"(?:from|to) non existing peripheral at 0x(?P<address>[0-9A-Fa-f]+)"
)
_ABORT = re.compile(r"CPU abort(?:ed)?(?: \[PC=0x(?P<pc>[0-9A-Fa-f]+)\])?:? ?(?P<why>.*)")
_WIDTHS = {"Byte": 1, "Word": 2, "DoubleWord": 4, "QuadWord": 8}
_TAIL_LINES = 5
_MARK_SECONDS = 10.0
_POLL_SECONDS = 0.01


@dataclass(frozen=True)
class UnexpectedAccess:
    """An access to an address where the platform has nothing; Renode lets the firmware go on."""

    access: Literal["read", "write"]
    pc: int
    address: int
    size: int
    line: str


@dataclass(frozen=True)
class Abort:
    """The core has stopped for good, for example after a jump to an address without code."""

    pc: int | None
    why: str


class Log:
    """Renode's log file, which may be read while it grows."""

    def __init__(self, path: Path):
        self.path = path
        self._read = 0
        self._lines: list[str] = []

    def begin(self, mark: str) -> None:
        """Wait for the line with ``mark``, and forget all lines up to it; raises RenodeError if it does not come."""
        deadline = time.monotonic() + _MARK_SECONDS
        while not any(mark in line for line in self.lines()):
            if time.monotonic() > deadline:
                raise RenodeError(f"Renode's log does not say {mark!r}; it ends with {self.tail()}")
            time.sleep(_POLL_SECONDS)
        self._lines = self._lines[1 + next(at for at, line in enumerate(self._lines) if mark in line) :]

    def lines(self) -> list[str]:
        """Return all complete lines since the last mark."""
        if self.path.exists():
            with self.path.open("rb") as file:
                file.seek(self._read)
                new = file.read()
            complete = new[: new.rfind(b"\n") + 1]
            self._read += len(complete)
            self._lines += complete.decode(errors="replace").splitlines()
        return self._lines

    def tail(self) -> str:
        """Return the last lines, for a message."""
        return " | ".join(self.lines()[-_TAIL_LINES:]) or "(its log is empty)"

    def abort(self) -> Abort | None:
        """Return why the core has stopped for good; None if it has not."""
        for line in self.lines():
            match = _ABORT.search(line)
            if match is not None:
                return Abort(int(match["pc"], 16) if match["pc"] else None, match["why"] or line)
        return None

    def unexpected_accesses(self) -> list[UnexpectedAccess]:
        """Return the accesses to nothing, in the order in which they were made."""
        matches = ((line, _ACCESS.search(line)) for line in self.lines())
        return [
            UnexpectedAccess(
                access="read" if match["access"] == "Read" else "write",
                pc=int(match["pc"], 16),
                address=int(match["address"], 16),
                size=_WIDTHS[match["width"]],
                line=line,
            )
            for line, match in matches
            if match is not None
        ]
