"""Arm semihosting: firmware asks its debugger to print, and to end (Arm's "Semihosting for AArch32 and AArch64").

A call has the number of an operation and a parameter, nearly always the address of a block of words. The only files
are the console and the list of features, which tells newlib that an exit may carry a status.
"""

import errno
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import IntEnum


class _Operation(IntEnum):
    SYS_OPEN = 0x01
    SYS_CLOSE = 0x02
    SYS_WRITEC = 0x03
    SYS_WRITE0 = 0x04
    SYS_WRITE = 0x05
    SYS_READ = 0x06
    SYS_READC = 0x07
    SYS_ISERROR = 0x08
    SYS_ISTTY = 0x09
    SYS_SEEK = 0x0A
    SYS_FLEN = 0x0C
    SYS_TMPNAM = 0x0D
    SYS_REMOVE = 0x0E
    SYS_RENAME = 0x0F
    SYS_CLOCK = 0x10
    SYS_TIME = 0x11
    SYS_SYSTEM = 0x12
    SYS_ERRNO = 0x13
    SYS_GET_CMDLINE = 0x15
    SYS_HEAPINFO = 0x16
    SYS_EXIT = 0x18
    SYS_EXIT_EXTENDED = 0x20
    SYS_ELAPSED = 0x30
    SYS_TICKFREQ = 0x31


_STDOUT, _STDERR, _STDIN, _FEATURES = 1, 2, 3, 4
_CONSOLE = (_STDOUT, _STDERR, _STDIN)
_FEATURE_FILE = b"SHFB\x03"  # the magic number, then: SYS_EXIT_EXTENDED exists, and stderr can be opened
_APPLICATION_EXIT = 0x20026  # ADP_Stopped_ApplicationExit; any other reason is an error
_FAILED = -1
_CHUNK = 4096


@dataclass(frozen=True)
class Exit:
    """The firmware has ended."""

    status: int


class SemihostingError(Exception):
    """A call that emu does not support; the text names the call and the reason."""


class Semihosting:
    """Handles one firmware's calls, from reset on.

    ``read`` and ``write`` access its memory, and raise ValueError if there is none. ``look`` is a ``read`` of bytes
    that the firmware may not have handed out. ``output`` takes printed bytes. ``initial_sp`` is SP at reset.
    """

    def __init__(
        self,
        read: Callable[[int, int], bytes],
        write: Callable[[int, bytes], None],
        output: Callable[[bytes], None],
        initial_sp: int,
        *,
        look: Callable[[int, int], bytes],
    ):
        self._read, self._write, self._output, self._look = read, write, output, look
        self._initial_sp = initial_sp
        self._features_position = 0
        self._error = 0

    def call(self, operation: int, parameter: int) -> int | Exit:
        """Return the call's result (a 32-bit word), or the exit that it asks for.

        Raises SemihostingError if the operation is not supported, or if the parameter points outside memory.
        """
        try:
            name = _Operation(operation).name
        except ValueError:
            raise SemihostingError(f"semihosting has no operation {operation:#04x}") from None
        try:
            answer = self._serve(_Operation(operation), parameter)
        except ValueError as error:
            raise SemihostingError(f"{name} with parameter {parameter:#010x}: {error}") from error
        if answer is None:
            raise SemihostingError(f"{name} (semihosting operation {operation:#04x}) is not served")
        return answer if isinstance(answer, Exit) else answer & 0xFFFF_FFFF

    def _serve(self, operation: _Operation, parameter: int) -> int | Exit | None:
        match operation:
            case _Operation.SYS_OPEN:
                return self._open(*self._words(parameter, 3))
            case _Operation.SYS_CLOSE:
                return 0
            case _Operation.SYS_WRITEC:
                self._output(self._read(parameter, 1))
                return 0
            case _Operation.SYS_WRITE0:
                self._output(self._string(parameter))
                return 0
            case _Operation.SYS_WRITE:
                return self._write_file(*self._words(parameter, 3))
            case _Operation.SYS_READ:
                return self._read_file(*self._words(parameter, 3))
            case _Operation.SYS_ISERROR:
                return int(self._words(parameter, 1)[0] >> 31)
            case _Operation.SYS_ISTTY:
                return int(self._words(parameter, 1)[0] in _CONSOLE)
            case _Operation.SYS_SEEK:
                return self._seek(*self._words(parameter, 2))
            case _Operation.SYS_FLEN:
                return len(_FEATURE_FILE) if self._words(parameter, 1)[0] == _FEATURES else 0
            case _Operation.SYS_CLOCK | _Operation.SYS_TIME | _Operation.SYS_ELAPSED | _Operation.SYS_TICKFREQ:
                return _FAILED  # an emulated run has no time of day
            case _Operation.SYS_ERRNO:
                return self._error
            case _Operation.SYS_GET_CMDLINE:
                return self._command_line(parameter)
            case _Operation.SYS_HEAPINFO:
                return self._heap_information(*self._words(parameter, 1))
            case _Operation.SYS_EXIT:
                return Exit(0 if parameter == _APPLICATION_EXIT else 1)
            case _Operation.SYS_EXIT_EXTENDED:
                reason, status = self._words(parameter, 2)
                return Exit(status if reason == _APPLICATION_EXIT else 1)
            case _:
                return None

    # ---- files -------------------------------------------------------------------------------------------------------

    def _open(self, name_address: int, mode: int, length: int) -> int:
        name = b"".join(self._chunks(name_address, length))
        if name == b":tt":  # fopen's modes: four for reading, four for writing, four for appending
            return _STDIN if mode < 4 else _STDOUT if mode < 8 else _STDERR
        if name == b":semihosting-features" and mode < 4:
            self._features_position = 0
            return _FEATURES
        self._error = errno.ENOENT
        return _FAILED

    def _write_file(self, handle: int, address: int, length: int) -> int:
        """Return the number of bytes that were not written."""
        if handle not in (_STDOUT, _STDERR):
            self._error = errno.EBADF
            return length
        for chunk in self._chunks(address, length):
            self._output(chunk)
        return 0

    def _read_file(self, handle: int, address: int, length: int) -> int:
        """Return the number of bytes that were not read: all bytes of the console, as it has no input."""
        if handle != _FEATURES:
            return length
        data = _FEATURE_FILE[self._features_position :][:length]
        self._write(address, data)
        self._features_position += len(data)
        return length - len(data)

    def _seek(self, handle: int, position: int) -> int:
        if handle != _FEATURES or position > len(_FEATURE_FILE):
            self._error = errno.EINVAL
            return _FAILED
        self._features_position = position
        return 0

    def _command_line(self, block: int) -> int:
        buffer, size = self._words(block, 2)
        if size == 0:
            return _FAILED
        self._write(buffer, b"\0")
        self._write(block + 4, bytes(4))  # the length of the command line
        return 0

    def _heap_information(self, block: int) -> int:
        """Leave the heap's bounds (zero) to the linker script; give the stack, as many scripts do not name its base."""
        self._write(block, struct.pack("<4I", 0, 0, self._initial_sp, 0))
        return 0

    # ---- memory ------------------------------------------------------------------------------------------------------

    def _words(self, address: int, count: int) -> tuple[int, ...]:
        return struct.unpack(f"<{count}I", self._read(address, 4 * count))

    def _string(self, address: int) -> bytes:
        length = 0
        for start, size in _pieces(address, 2**32 - address):
            before, zero, _ = self._look(start, size).partition(b"\0")
            length += len(before)
            if zero:
                return self._read(address, length + 1)[:-1]
        return self._read(address, length)

    def _chunks(self, address: int, length: int) -> Iterator[bytes]:
        return (self._read(start, size) for start, size in _pieces(address, length))


def _pieces(address: int, length: int) -> Iterator[tuple[int, int]]:
    """Yield memory in pieces: a wild length must end at the memory's end, not in a giant buffer."""
    end = address + length
    while address < end:
        size = min(end - address, _CHUNK - address % _CHUNK)
        yield address, size
        address += size
