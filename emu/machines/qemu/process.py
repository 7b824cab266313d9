"""A QEMU process with a board's memory in it: started, shared with, and ended without fail.

What the two sides share are files without a name, so that nothing stays behind wherever either of them ends.
"""

import contextlib
import ctypes
import mmap
import os
import shutil
import signal
import socket
import subprocess
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from emu.architectures.core import StoppedCore
from emu.errors import MissingToolError
from emu.firmware import Firmware
from emu.instruments import Instruments
from emu.machines.gdb_remote import GdbError, GdbRemote
from emu.machines.process_group import end_group
from emu.machines.qemu.core import QemuCore, Standing
from emu.native import FIRST_INTERVAL
from emu.native.qemu import Shared, qemu_plugin
from emu.probes.allocators import allocator_entries
from emu.probes.stack import PAINT
from emu.targets import Region

_ERASED = 0xFF
_ANSWER_SECONDS = 10.0
_NO_OUTPUT = 0xFFFF_FFFF


def find_qemu(core: type[QemuCore]) -> Path:
    """Return the path of the QEMU that emulates ``core``; raises MissingToolError with the command that installs it."""
    path = shutil.which(core.command)
    if path is None:
        raise MissingToolError(f"{core.command} is not installed; install it with: apt-get install {core.package}")
    return Path(path)


def qemu_version(core: type[QemuCore]) -> str:
    """Return what that QEMU says of its version; raises MissingToolError where there is none."""
    answer = subprocess.run([find_qemu(core), "--version"], check=False, capture_output=True, text=True)
    return answer.stdout.partition("\n")[0].removeprefix("QEMU emulator version ") or "of an unknown version"


@dataclass(frozen=True)
class _Window:
    """Where the contents of a memory are in the file of all."""

    region: Region
    offset: int


class SharedMemory:
    """The contents of a board's memories, which QEMU has mapped too: they can be read when it is no more."""

    def __init__(self, firmware: Firmware, sp_changes: bytes):
        regions = [region for region in firmware.board.memory if region.kind == "memory"]
        ends = np.cumsum([0, *(_whole_pages(region.size) for region in regions)]).tolist()
        self._windows = [_Window(region, offset) for region, offset in zip(regions, ends[:-1], strict=True)]
        self.changes_offset = ends[-1]
        self.file = os.memfd_create("emu-memory")
        os.truncate(self.file, ends[-1] + _whole_pages(len(sp_changes)))
        self._contents = mmap.mmap(self.file, 0)
        for window in self._windows:
            fill = PAINT if window.region.writable else _ERASED
            self._contents[window.offset : window.offset + window.region.size] = bytes([fill]) * window.region.size
        for segment in firmware.segments:
            self.write(segment.load_address, segment.data)
        self._contents[self.changes_offset : self.changes_offset + len(sp_changes)] = sp_changes

    @property
    def windows(self) -> list[tuple[Region, int]]:
        """The memories, and where in the file each is."""
        return [(window.region, window.offset) for window in self._windows]

    def offset_of(self, address: int) -> int:
        """Return where in the file the memory at ``address`` is; raises ValueError where there is none."""
        for window in self._windows:
            if address in window.region:
                return window.offset + address - window.region.start
        raise ValueError(f"there is no memory at {address:#010x}")

    def read(self, address: int, size: int) -> bytes:
        """Return ``size`` bytes; raises ValueError where there is no such memory."""
        return b"".join(self._contents[start:end] for start, end in self._spans(address, size))

    def peek(self, address: int, size: int) -> bytes:
        """Return the same, or nothing where there is no such memory."""
        try:
            return self.read(address, size)
        except ValueError:
            return b""

    def write(self, address: int, data: bytes) -> None:
        """Replace memory; raises ValueError where there is none."""
        done = 0
        for start, end in self._spans(address, len(data)):
            self._contents[start:end] = data[done : done + end - start]
            done += end - start

    def close(self) -> None:
        """Give the memory back."""
        self._contents.close()
        os.close(self.file)

    def _spans(self, address: int, size: int) -> list[tuple[int, int]]:
        """Return the pieces of the file that hold the memory: it may run on from one region into the next."""
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
    """One QEMU that stands at the reset of ``firmware``, with the plugin in it. ``close`` must be called.

    Raises MissingToolError where QEMU is missing, or is one that the plugin cannot take hold of.
    """

    def __init__(self, firmware: Firmware, core: QemuCore, instruments: Instruments, *, bare: bool):
        path, plugin = find_qemu(type(core)), qemu_plugin()
        self._core = core
        with contextlib.ExitStack() as undo:
            self.memory = SharedMemory(firmware, core.sp_changes())
            undo.callback(self.memory.close)
            self._shared_file = os.memfd_create("emu-shared")
            undo.callback(os.close, self._shared_file)
            os.truncate(self._shared_file, ctypes.sizeof(Shared))
            self._shared_memory = mmap.mmap(self._shared_file, 0)
            self.shared = Shared.from_buffer(self._shared_memory)
            self._output_file = os.memfd_create("emu-output")
            undo.callback(os.close, self._output_file)
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
                    "output": self._output_file,
                }
                self._process = self._start(path, plugin, files, theirs)
                undo.callback(end_group, self._process)
            finally:
                os.close(board)
                theirs.close()  # or the end of QEMU would not be seen
            self.gdb = self._connect(ours, firmware)
            self._undo = undo.pop_all()

    @property
    def standing(self) -> Standing:
        """What can be done with it while it stands."""
        return Standing(self.gdb, self.shared, self.memory.peek)

    def stopped(self) -> StoppedCore:
        """Return the core as it stands now."""
        return self._core.stopped(self.standing)

    @property
    def process_id(self) -> int:
        """The process."""
        return self._process.pid

    @property
    def messages(self) -> str:
        """What QEMU has said on stderr."""
        size = os.fstat(self._messages_file).st_size
        return os.pread(self._messages_file, size, 0).decode(errors="replace")

    def how_it_ended(self) -> str:
        """Return, of a process that is gone or does not answer, what is known about that."""
        try:
            code = self._process.wait(1.0)
        except subprocess.TimeoutExpired:
            return "it runs on, but does not answer"
        fatal = next((line for line in self.messages.splitlines() if "fatal:" in line), None)
        if fatal is not None:
            return fatal
        return f"it was ended by {signal.Signals(-code).name}" if code < 0 else f"it ended with exit code {code}"

    def output_since(self, position: int) -> bytes:
        """Return what the firmware has printed, but for the first ``position`` bytes."""
        return os.pread(self._output_file, os.fstat(self._output_file).st_size - position, position)

    def close(self) -> None:
        """End the process and give everything back; calling it again does nothing."""
        self._undo.close()

    # ---- starting and ending -----------------------------------------------------------------------------------------

    def _start(self, path: Path, plugin: Path, files: dict[str, int], gdb: socket.socket) -> subprocess.Popen[bytes]:
        named = ",".join(f"{name}=/proc/self/fd/{file}" for name, file in files.items())
        arguments = [*self._core.arguments(), "-nodefaults", "-no-user-config", "-no-reboot", "-S"]
        arguments += ["-display", "none", "-nic", "none"]
        arguments += ["-chardev", f"socket,id=gdb,fd={gdb.fileno()}", "-gdb", "chardev:gdb"]
        arguments += ["-plugin", f"file={str(plugin).replace(',', ',,')},{named}"]
        return subprocess.Popen(
            [path, *arguments],
            stdin=subprocess.PIPE,  # the plugin ends QEMU when nobody holds the other end any more
            stdout=self._messages_file,
            stderr=self._messages_file,
            pass_fds=[*files.values(), gdb.fileno()],
            start_new_session=True,  # an interrupt from the terminal is this process's to handle
        )

    def _connect(self, connection: socket.socket, firmware: Firmware) -> GdbRemote:
        """Return the connection, once it is certain that QEMU stands at the reset with the board's memory in it."""
        try:
            gdb = GdbRemote(connection, _ANSWER_SECONDS)
            found = self._at_reset(gdb, firmware)
        except GdbError as error:
            raise MissingToolError(f"{self._unusable}: {error}; {self._first_message()}") from error
        for what, (value, expected) in found.items():
            if value != expected:
                raise MissingToolError(f"{self._unusable}: {what} is {value!r} at reset, not {expected!r}")
        return gdb

    def _at_reset(self, gdb: GdbRemote, firmware: Firmware) -> dict[str, tuple[object, object]]:
        """Return, of what has to be so at reset, what is and what has to be."""
        core = self._core.stopped(Standing(gdb, self.shared, self.memory.peek))
        found: dict[str, tuple[object, object]] = {
            "the plugin": (self.shared.ready, ctypes.sizeof(Shared)),
            "pc": (core.register("pc"), firmware.reset_pc),
        }
        first, what = firmware.reset_pc, "the code"
        if firmware.start.vector_table is not None:  # the core has read SP from it
            first, what = firmware.start.vector_table, "the vector table"
            found["sp"] = (core.register(self._core.core.stack_register), firmware.initial_sp)
        return {**found, what: (gdb.read_memory(first, 8), self.memory.peek(first, 8))}

    @property
    def _unusable(self) -> str:
        command, version = self._core.command, qemu_version(type(self._core))
        return f"{command} {version} cannot be used (Debian's 7.2 can: apt-get install {self._core.package})"

    def _first_message(self) -> str:
        lines = [line for line in self.messages.splitlines() if "warning" not in line]
        return lines[0] if lines else self.how_it_ended()


def _describe(firmware: Firmware, memory: SharedMemory, instruments: Instruments, *, bare: bool) -> str:
    """Return the board as emu/native/qemu/memory.c reads it."""
    floor, top = firmware.stack_region.start, firmware.initial_sp
    lines = []
    for region, offset in memory.windows:
        lines.append(f"{'ram' if region.writable else 'rom'} {region.start:x} {region.size:x} {offset:x}")
    for peripheral in firmware.board.peripherals:
        if peripheral.modelled:
            output = _NO_OUTPUT if peripheral.output is None else peripheral.output
            lines.append(f"peripheral {peripheral.start:x} {peripheral.size:x} {output:x}")
            lines += [f"fixed {offset:x} {value:x}" for offset, value in peripheral.reads.items()]
    lines += [f"region {region.start:x} {region.size:x}" for region in firmware.board.memory]
    lines += [f"code {region.start:x} {region.size:x}" for region in firmware.board.memory if region.executable]
    lines.append(f"stack {floor:x} {top:x} {memory.offset_of(floor):x}")
    lines.append(f"changes {memory.changes_offset:x}")
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
