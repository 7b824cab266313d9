"""A Renode process: start it without windows and in its own directory, clear it for each machine, and end it always.

Renode's command is a shell script that starts the real program, so there is a group of processes.
"""

import contextlib
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from emu.errors import MissingToolError
from emu.machines.process_time import ProcessTime
from emu.machines.renode.installation import find_renode, renode_version
from emu.machines.renode.log import Log
from emu.machines.renode.monitor import path_argument
from emu.machines.renode.robot_server import RenodeError, RobotServer
from emu.machines.time_limit import TimeLimit
from emu.processes import end_group, guarded
from emu.temporary import remove, temporary_directory

_START_SECONDS = 60.0
_CLEAR_SECONDS = 30.0
_COMPILE_SECONDS = 120.0
_POLL_SECONDS = 0.05


class RenodeProcess:
    """One Renode whose robot server answers. ``close`` must be called.

    Raises MissingToolError if Renode is missing or too old, or if its server does not answer. The message quotes
    Renode.
    """

    def __init__(self) -> None:
        self.path = path = find_renode()
        self.version = renode_version()
        self._machines = 0
        self._included: set[Path] = set()
        with contextlib.ExitStack() as undo:
            self._root = undo.enter_context(temporary_directory("emu-renode-"))
            self.directory = self._new_directory()
            """Files of the machine that Renode has now."""
            self.log = Log(self._root / "renode.log")
            self._console = self._root / "console.txt"
            self._pid_file = self._root / "pid"
            self._temporary = self._root / "tmp"
            self._temporary.mkdir()
            (self._root / "config").touch()
            self._process = undo.enter_context(self._started(path))
            try:
                self.robot = RobotServer(self._port(), self.check, self.time_limit)
                self.robot.command(f"logFile {path_argument(self.log.path)} true", _START_SECONDS)
            except RenodeError as error:
                raise MissingToolError(f"{path} (Renode {self.version}) cannot be used: {error}") from error
            self._undo = undo.pop_all()

    @property
    def process_id(self) -> int:
        """The process group."""
        return self._process.pid

    @property
    def is_idle(self) -> bool:
        """Whether the process runs, waits for a request, and can have another machine."""
        return self._process.poll() is None and not self.robot.is_asked and self.log.abort() is None

    def clear(self) -> None:
        """Remove the machine with its files, and forget what the log says of it; raises RenodeError."""
        self.check()
        self.robot.command("Clear", _CLEAR_SECONDS)
        remove(self.directory)
        self.directory = self._new_directory()
        # Renode writes its log later than it answers: only what comes after the mark is about the next machine.
        mark = f"emu: machine {self._machines}"
        self.robot.command(f'log "{mark}" 3', _CLEAR_SECONDS)
        self.log.begin(mark)

    def include(self, path: Path) -> None:
        """Let Renode compile and load a C# file, once: it stays when Renode is cleared. Raises RenodeError."""
        if path not in self._included:
            self.robot.command(f"include {path_argument(path)}", _COMPILE_SECONDS)
            self._included.add(path)

    def time_limit(self, seconds: float) -> TimeLimit:
        """Return a limit of Renode's time that begins now."""
        return TimeLimit(seconds, ProcessTime(self.process_id).spent)

    def check(self) -> None:
        """Raise RenodeError if the process has ended, or if its core has stopped for good."""
        code = self._process.poll()
        if code is not None:
            raise RenodeError(f"Renode has ended by itself with exit code {code}; it said: {self._last_words}")
        abort = self.log.abort()
        if abort is not None:
            raise RenodeError(f"Renode's core has stopped for good: {abort.why}")

    def close(self) -> None:
        """End all processes and remove the directory; calling it again does nothing."""
        self._undo.close()

    # ---- starting and ending -----------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _started(self, path: Path) -> Iterator[subprocess.Popen[bytes]]:
        arguments = [
            *("--plain", "--disable-gui"),
            *("--config", self._root / "config"),  # a user's own configuration could change how numbers are printed
            *("--pid-file", self._pid_file),
            *("--robot-server-port", "0"),
        ]
        environment = {**os.environ, "TMPDIR": str(self._temporary)}  # Renode writes the file with the port there
        with (
            self._console.open("wb") as console,
            guarded(
                [path, *arguments], stdout=console, stderr=subprocess.STDOUT, cwd=self._root, env=environment
            ) as process,
        ):
            yield process

    def _port(self) -> int:
        """Wait for the two files that name the server's port, and return the port."""
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline:
            self.check()
            pid = _number_in(self._pid_file)
            port = None if pid is None else _number_in(self._temporary / f"renode-{pid}" / "robot_port")
            if port is not None:
                return port
            time.sleep(_POLL_SECONDS)
        seen = ", ".join(sorted(str(p.relative_to(self._root)) for p in self._root.rglob("*")))
        raise RenodeError(
            f"its robot server has not told its port in {_START_SECONDS:g} seconds; "
            f"its directory holds {seen}; it said: {self._last_words}"
        )

    def _new_directory(self) -> Path:
        self._machines += 1
        directory = self._root / f"machine{self._machines}"
        directory.mkdir()
        return directory

    @property
    def _last_words(self) -> str:
        lines = self._console.read_text(errors="replace").splitlines()
        return " | ".join(line for line in lines[-5:] if line.strip()) or "(nothing)"

    def end(self) -> None:
        """End all processes; their files remain."""
        end_group(self._process)


def _number_in(path: Path) -> int | None:
    """Return the number in a file; None if the file is missing or incomplete."""
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return None
