"""A QEMU process with a board's memory: start it, share files with it, and end it always.

The two processes share files without names, so no file is left, whichever process ends first.
"""

import contextlib
import ctypes
import mmap
import os
import re
import shutil
import signal
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from emu.architectures.core import StoppedCore
from emu.errors import MissingToolError
from emu.filler import PAINT
from emu.firmware import Firmware
from emu.instruments import Instruments
from emu.machines.gdb_remote import GdbError, GdbRemote
from emu.machines.qemu.core import QemuCore, Standing
from emu.native import FIRST_INTERVAL
from emu.native.qemu import Shared, qemu_plugin
from emu.peripherals import describe
from emu.probes.allocators import allocator_entries
from emu.processes import end_group, version_line
from emu.targets import Region

_ERASED = 0xFF
_ANSWER_SECONDS = 10.0
_PLUGIN_POLL_SECONDS = 0.0005
_CLOCK = ("-icount", "shift=1,sleep=off")
"""The clock of the machine: an instruction takes 2 ns, so that timers give the same in every run; a wait is skipped."""
_LAST_WORDS = re.compile(r"fatal:|^emu plugin: |^ERROR:")
"""What QEMU or the plugin prints when it gives up."""


def find_qemu(core: type[QemuCore]) -> Path:
    """Return the path of the QEMU that emulates ``core``; raises MissingToolError with the command that installs it."""
    path = shutil.which(core.command)
    if path is None:
        raise MissingToolError(f"{core.command} is not installed; install it with: apt-get install {core.package}")
    return Path(path)


def qemu_version(core: type[QemuCore]) -> str:
    """Return the version of the QEMU that emulates ``core``; raises MissingToolError if it is missing or hangs."""
    answer = version_line(find_qemu(core)) or ""
    return answer.removeprefix("QEMU emulator version ") or "of an unknown version"


@dataclass(frozen=True)
class _Window:
    """A memory, and its offset in the shared file."""

    region: Region
    offset: int


class SharedMemory:
    """The contents of a board's memories in a file that QEMU maps, too; they can be read after QEMU has ended."""

    def __init__(self, firmware: Firmware, sp_changes: bytes, stack_changes: bytes):
        regions = [region for region in firmware.board.memory if region.kind == "memory"]
        ends = np.cumsum([0, *(_whole_pages(region.size) for region in regions)]).tolist()
        self._windows = [_Window(region, offset) for region, offset in zip(regions, ends[:-1], strict=True)]
        self.changes_offset, self.anew_offset = ends[-1], ends[-1] + len(sp_changes)
        maps = sp_changes + stack_changes
        self.file = os.memfd_create("emu-memory")
        os.truncate(self.file, ends[-1] + _whole_pages(len(maps)))
        self._contents = mmap.mmap(self.file, 0)
        for window in self._windows:
            fill = PAINT if window.region.writable else _ERASED
            self._contents[window.offset : window.offset + window.region.size] = bytes([fill]) * window.region.size
        for segment in firmware.segments:
            self.write(segment.load_address, segment.data)
        self._contents[self.changes_offset : self.changes_offset + len(maps)] = maps

    @property
    def windows(self) -> list[tuple[Region, int]]:
        """The memories, with their offsets in the file."""
        return [(window.region, window.offset) for window in self._windows]

    def offset_of(self, address: int) -> int:
        """Return the offset in the file of the memory at ``address``; raises ValueError if there is none."""
        for window in self._windows:
            if address in window.region:
                return window.offset + address - window.region.start
        raise ValueError(f"there is no memory at {address:#010x}")

    def read(self, address: int, size: int) -> bytes:
        """Return ``size`` bytes; raises ValueError if there is no such memory."""
        return b"".join(self._contents[start:end] for start, end in self._spans(address, size))

    def peek(self, address: int, size: int) -> bytes:
        """Return ``size`` bytes, or nothing if there is no such memory."""
        try:
            return self.read(address, size)
        except ValueError:
            return b""

    def write(self, address: int, data: bytes) -> None:
        """Replace memory; raises ValueError if there is none."""
        done = 0
        for start, end in self._spans(address, len(data)):
            self._contents[start:end] = data[done : done + end - start]
            done += end - start

    def close(self) -> None:
        """Release the memory."""
        self._contents.close()
        os.close(self.file)

    def _spans(self, address: int, size: int) -> list[tuple[int, int]]:
        """Return the pieces of the file with the memory, which may span adjacent regions."""
        spans = []
        end = address + size
        while address < end:
            offset = self.offset_of(address)
            region = next(window.region for window in self._windows if address in window.region)
            length = min(end, region.end) - address
            spans.append((offset, offset + length))
            address += length
        return spans


class QemuProcess:
    """One QEMU, stopped at the reset of ``firmware``, with the plugin in it. ``close`` must be called.

    Raises MissingToolError if QEMU is missing, or if the plugin cannot be used in it.
    """

    def __init__(self, firmware: Firmware, core: QemuCore, instruments: Instruments, *, bare: bool):
        path, plugin = find_qemu(type(core)), qemu_plugin()
        self._core = core
        with contextlib.ExitStack() as undo:
            self.memory = SharedMemory(firmware, core.sp_changes(), core.stack_changes() or b"")
            undo.callback(self.memory.close)
            self._shared_file = os.memfd_create("emu-shared")
            undo.callback(os.close, self._shared_file)
            os.truncate(self._shared_file, ctypes.sizeof(Shared))
            self._shared_memory = mmap.mmap(self._shared_file, 0)
            self.shared = Shared.from_buffer(self._shared_memory)
            self._messages_file = os.memfd_create("emu-messages")
            undo.callback(os.close, self._messages_file)
            ours, theirs = socket.socketpair()
            undo.callback(ours.close)
            board = os.memfd_create("emu-board")
            try:
                os.write(board, _describe(firmware, self.memory, instruments, bare=bare).encode())
                files = {
                    "board": board,
                    "memory": self.memory.file,
                    "shared": self._shared_file,
                }
                self._process = self._start(path, plugin, files, theirs)
                undo.callback(end_group, self._process)
            finally:
                os.close(board)
                theirs.close()  # an open copy here would hide the end of QEMU
            self.gdb = self._connect(ours, firmware)
            self._undo = undo.pop_all()

    @property
    def standing(self) -> Standing:
        """The stopped QEMU."""
        return Standing(self.gdb, self.shared, self.memory.peek)

    def stopped(self) -> StoppedCore:
        """Return the stopped core."""
        return self._core.stopped(self.standing)

    @property
    def process_id(self) -> int:
        """The process."""
        return self._process.pid

    @property
    def messages(self) -> str:
        """QEMU's messages on stderr."""
        size = os.fstat(self._messages_file).st_size
        return os.pread(self._messages_file, size, 0).decode(errors="replace")

    def how_it_ended(self) -> str:
        """Return the known facts about a process that is gone or does not answer."""
        try:
            code = self._process.wait(1.0)
        except subprocess.TimeoutExpired:
            return "it runs on, but does not answer"
        last_words = next((line for line in self.messages.splitlines() if _LAST_WORDS.search(line)), None)
        if last_words is not None:
            return last_words
        return f"it was ended by {signal.Signals(-code).name}" if code < 0 else f"it ended with exit code {code}"

    def close(self) -> None:
        """End the process and release everything; calling it again does nothing."""
        self._undo.close()

    # ---- starting and ending -----------------------------------------------------------------------------------------

    def _start(self, path: Path, plugin: Path, files: dict[str, int], gdb: socket.socket) -> subprocess.Popen[bytes]:
        named = ",".join(f"{name}=/proc/self/fd/{file}" for name, file in files.items())
        arguments = [*self._core.arguments(), "-nodefaults", "-no-user-config", "-no-reboot", "-S"]
        arguments += [*_CLOCK, "-display", "none", "-nic", "none"]
        arguments += ["-chardev", f"socket,id=gdb,fd={gdb.fileno()}", "-gdb", "chardev:gdb"]
        arguments += ["-plugin", f"file={str(plugin).replace(',', ',,')},{named}"]
        return subprocess.Popen(
            [path, *arguments],
            stdin=subprocess.PIPE,  # the plugin ends QEMU when the other end is closed
            stdout=self._messages_file,
            stderr=self._messages_file,
            pass_fds=[*files.values(), gdb.fileno()],
            start_new_session=True,  # this process handles an interrupt from the terminal
        )

    def _connect(self, connection: socket.socket, firmware: Firmware) -> GdbRemote:
        """Return the connection after a check that QEMU is at reset with the board's memory."""
        try:
            gdb = GdbRemote(connection, _ANSWER_SECONDS)
            self._wait_for_plugin()
            found = self._at_reset(gdb, firmware)
        except GdbError as error:
            raise MissingToolError(f"{self._unusable}: {error}; {self._first_message()}") from error
        for what, (value, expected) in found.items():
            if value != expected:
                raise MissingToolError(f"{self._unusable}: {what} is {value!r} at reset, not {expected!r}")
        return gdb

    def _wait_for_plugin(self) -> None:
        """Wait until the machine has the board's memory: QEMU 10 answers before it calls the plugin for the core."""
        deadline = time.monotonic() + _ANSWER_SECONDS
        while self.shared.ready == 0 and self._process.poll() is None and time.monotonic() < deadline:
            time.sleep(_PLUGIN_POLL_SECONDS)

    def _at_reset(self, gdb: GdbRemote, firmware: Firmware) -> dict[str, tuple[object, object]]:
        """Return the value found and the value expected of each check at reset, by name."""
        core = self._core.stopped(Standing(gdb, self.shared, self.memory.peek))
        found: dict[str, tuple[object, object]] = {
            "the plugin": (self.shared.ready, ctypes.sizeof(Shared)),
            "pc": (core.register("pc"), firmware.reset_pc),
        }
        first, what = firmware.reset_pc, "the code"
        if firmware.start.vector_table is not None:  # the core has read SP from the vector table
            first, what = firmware.start.vector_table, "the vector table"
            found["sp"] = (core.register(self._core.core.stack_register), firmware.initial_sp)
        return {**found, what: (gdb.read_memory(first, 8), self.memory.peek(first, 8))}

    @property
    def _unusable(self) -> str:
        command, version = self._core.command, qemu_version(type(self._core))
        return f"{command} {version} cannot be used (7.2, 8.2 and 10.0 can: apt-get install {self._core.package})"

    def _first_message(self) -> str:
        lines = [line for line in self.messages.splitlines() if "warning" not in line]
        return lines[0] if lines else self.how_it_ended()


def _describe(firmware: Firmware, memory: SharedMemory, instruments: Instruments, *, bare: bool) -> str:
    """Return the board as text for emu/native/qemu/memory.c."""
    floor, top = firmware.stack_region.start, firmware.initial_sp
    lines = []
    for region, offset in memory.windows:
        lines.append(f"{'ram' if region.writable else 'rom'} {region.start:x} {region.size:x} {offset:x}")
    lines += describe(firmware.board.peripherals)
    lines += [f"region {region.start:x} {region.size:x}" for region in firmware.board.memory]
    lines += [f"code {region.start:x} {region.size:x}" for region in firmware.board.memory if region.executable]
    lines.append(f"stack {floor:x} {top:x}")
    lines.append(f"changes {memory.changes_offset:x}")
    lines.append(f"anew {memory.anew_offset:x}")
    if firmware.start.vector_table is not None:
        lines.append(f"vectors {firmware.start.vector_table:x}")
    lines.append(f"interval {FIRST_INTERVAL:x}")
    if instruments.traffic:
        lines.append("traffic")
    if instruments.profile:
        lines.append(f"functions {len(firmware.functions):x}")
        lines += [f"function {function.start:x} {function.end:x}" for function in firmware.functions]
    if bare:
        lines.append("bare")
    for entry in allocator_entries(firmware):
        lines.append(f"allocator {entry.address:x} {entry.function:x} {entry.first_argument:x}")
    return "\n".join(lines) + "\n"


def _whole_pages(size: int) -> int:
    return -(-size // mmap.PAGESIZE) * mmap.PAGESIZE
