"""Firmware as a process of the host: start it, wait for it, read and write its memory, and end it always."""

import contextlib
import fcntl
import os
import selectors
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import IO, TypeVar

from emu.errors import EmuError, InputError, MissingToolError
from emu.machines import LostError
from emu.machines.output import Output
from emu.machines.process_time import ProcessTime
from emu.machines.time_limit import TimeLimit
from emu.processes import end_group

_Transferred = TypeVar("_Transferred", int, bytes)
_SOCKET_VARIABLE = "EMU_HARNESS_SOCKET"  # the numbers in runtime/port/host/harness.c
_KEPT_VARIABLES = ("LD_LIBRARY_PATH",)  # a user's own compiler may keep the sanitizers' libraries there
_COMMON_OPTIONS = "symbolize=0:print_stacktrace=1:color=never"
_OPTIONS = {
    "ASAN_OPTIONS": f"{_COMMON_OPTIONS}:detect_leaks=0:detect_stack_use_after_return=1:"
    "handle_abort=1:handle_sigill=1:handle_sigfpe=1:handle_sigbus=1:handle_sigtrap=1:"
    "hard_rss_limit_mb=2048",  # far more than any board has, and too little to harm this machine
    "UBSAN_OPTIONS": _COMMON_OPTIONS,
}
_PIECE = 1 << 16
_REPORT_SECONDS = 1.0
"""How long an interrupted process may take to report its place."""
_LOOK_SECONDS = 0.02
"""Seconds between checks of the process. Its end must be polled, as its children may hold all its files open."""


class HostProcess:
    """One process that runs an ELF for this machine. ``close`` must be called.

    Raises InputError if the operating system refuses the ELF.
    """

    def __init__(self, program: bytes, name: str):
        self.output, self._said = Output(), Output()
        with contextlib.ExitStack() as undo:
            self._socket, theirs = socket.socketpair()
            undo.callback(self._socket.close)
            with theirs:
                self._process = self._start(program, name, theirs.fileno())
            undo.callback(self._end)
            self._waiting = selectors.DefaultSelector()
            undo.callback(self._waiting.close)
            self._waiting.register(self._socket, selectors.EVENT_READ)
            for stream, output in self._streams.items():
                self._waiting.register(stream, selectors.EVENT_READ, output)
            self._undo = undo.pop_all()

    @property
    def process_id(self) -> int:
        """The process."""
        return self._process.pid

    @property
    def said(self) -> str:
        """The sanitizers' text."""
        return self._said.text

    def time_limit(self, seconds: float) -> TimeLimit:
        """Return a limit of the process that begins now."""
        return TimeLimit(seconds, ProcessTime(self.process_id).spent)

    def wait(self, limit: TimeLimit) -> bool:
        """Return True when the firmware reaches ``emu_yield``, False when it ends.

        Raises TimeoutError if neither happens in time.
        """
        while not limit.is_over:
            ended = self.exit_code is not None
            for key, _ in self._waiting.select(0 if ended else _LOOK_SECONDS):
                if key.data is not None:
                    self._take(key)
                elif self._receive():
                    self._take_what_is_there()
                    return True
                else:
                    self._waiting.unregister(self._socket)  # the process ends, or has closed its end of the pipe
            if ended:
                return False
        raise TimeoutError

    def go_on(self) -> None:
        """Let ``emu_yield`` return; ``wait`` tells if the process has ended instead."""
        with contextlib.suppress(OSError):
            self._socket.send(b"\0", socket.MSG_NOSIGNAL)

    def interrupt(self) -> None:
        """End a running process so that its sanitizer reports the place."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.process_id, signal.SIGABRT)
            os.kill(self.process_id, signal.SIGCONT)  # a stopped process would not take the signal
        limit = self.time_limit(_REPORT_SECONDS)  # one limit for all waits
        with contextlib.suppress(TimeoutError):
            while self.wait(limit):
                pass

    @property
    def exit_code(self) -> int | None:
        """The exit status, or minus the signal that ended the process; None if it still runs."""
        if self._process.returncode is not None:
            return self._process.returncode
        # The process stays a zombie until ``close``: no other process can get its number before its group is ended.
        try:
            found = os.waitid(os.P_PID, self.process_id, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError as error:
            raise EmuError("SIGCHLD is ignored here, so nothing tells how the firmware's process has ended") from error
        if found is None:
            return None
        return found.si_status if found.si_code == os.CLD_EXITED else -found.si_status

    def read(self, address: int, size: int) -> bytes:
        """Return ``size`` bytes; raises ValueError if there is no such memory, LostError if the process has ended."""
        try:
            with self._memory(address) as memory:
                data = _unless_gone(os.pread(memory, size, address))
        except ProcessLookupError as error:
            raise LostError("the firmware's process was ended from outside while it waited") from error
        if len(data) < size:
            raise ValueError(f"there is no memory at {address + len(data):#010x}")
        return data

    def write(self, address: int, data: bytes) -> None:
        """Replace memory; raises ValueError if there is none. The next ``wait`` tells if the process has ended."""
        try:
            with self._memory(address) as memory:
                written = _unless_gone(os.pwrite(memory, data, address))
        except ProcessLookupError:
            return
        if written < len(data):
            raise ValueError(f"there is no memory at {address + written:#010x}")

    def close(self) -> None:
        """End the process and its children, except new sessions; calling it again does nothing."""
        self._undo.close()

    @contextlib.contextmanager
    def _memory(self, address: int) -> Iterator[int]:
        """Yield the file of the process's memory, for an access at ``address``.

        Raises MissingToolError if the operating system forbids access, and ProcessLookupError if there is
        no memory any more, which may happen before ``exit_code`` is known.
        """
        try:
            with Path(f"/proc/{self.process_id}/mem").open("r+b", buffering=0) as memory:
                yield memory.fileno()
        except PermissionError as error:
            raise MissingToolError(
                "this system lets nobody look at the memory of a process of one's own; allow ptrace "
                "(sysctl kernel.yama.ptrace_scope=1, or docker run --cap-add SYS_PTRACE)"
            ) from error
        except ProcessLookupError:
            raise
        except (OSError, OverflowError) as error:
            raise ValueError(f"there is no memory at {address:#010x}") from error

    # ---- starting and ending -----------------------------------------------------------------------------------------

    @staticmethod
    def _start(program: bytes, name: str, harness: int) -> subprocess.Popen[bytes]:
        memory = os.memfd_create("emu-firmware")  # run the bytes that were read
        file, harness = _above_standard_streams(memory), _above_standard_streams(harness)
        try:
            with os.fdopen(memory, "wb") as writer:
                writer.write(program)
            kept = {variable: os.environ[variable] for variable in _KEPT_VARIABLES if variable in os.environ}
            return subprocess.Popen(
                [name],
                executable=f"/proc/self/fd/{file}",
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                pass_fds=[file, harness],
                env={**kept, **_OPTIONS, _SOCKET_VARIABLE: str(harness)},
                start_new_session=True,  # this process handles an interrupt from the terminal
            )
        except OSError as error:
            raise InputError(f"{name} cannot be run on this machine: {error.strerror}") from error
        finally:
            os.close(file)
            os.close(harness)

    def _end(self) -> None:
        end_group(self._process)
        for stream in self._streams:
            stream.close()

    # ---- output ------------------------------------------------------------------------------------------------------

    @property
    def _streams(self) -> dict[IO[bytes], Output]:
        assert self._process.stdout is not None, "it is a pipe"
        assert self._process.stderr is not None, "it is a pipe"
        return {self._process.stdout: self.output, self._process.stderr: self._said}

    def _receive(self) -> bytes:
        try:
            return self._socket.recv(1)
        except ConnectionError:
            return b""

    def _take(self, key: selectors.SelectorKey) -> None:
        data = os.read(key.fd, _PIECE)
        if data:
            key.data.write(data)
        else:
            self._waiting.unregister(key.fileobj)

    def _take_what_is_there(self) -> None:
        """Take everything written so far: one read empties a pipe."""
        for key, _ in self._waiting.select(0):
            if key.data is not None:
                self._take(key)


def _above_standard_streams(file: int) -> int:
    """Return a copy that a child can inherit, even if this process was started with closed streams."""
    return fcntl.fcntl(file, fcntl.F_DUPFD_CLOEXEC, 3)


def _unless_gone(transferred: _Transferred) -> _Transferred:
    """Return ``transferred``, the bytes or their number; raises ProcessLookupError if it is empty.

    A dead process has no memory.
    """
    if not transferred:
        raise ProcessLookupError
    return transferred
