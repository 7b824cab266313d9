"""The errors that a user can act on; each carries the exit code of the command line.

No error has exit code 1: only a failed verdict ends with 1.
"""

import errno

from emu.printable import printable

_LONGEST = 2000
_OUTPUT_LOST = (errno.EPIPE, errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG)


class EmuError(Exception):
    """A failure in emu, or in a tool that it drives: exit code 70.

    The message is one printable line, whatever it quotes, so no caller has to clean it.
    """

    exit_code = 70

    def __init__(self, message: str):
        super().__init__(printable(message, _LONGEST))


class InputError(EmuError):
    """Bad usage or bad input (a file, a shape, a value): exit code 2."""

    exit_code = 2


class MissingToolError(EmuError):
    """The environment lacks something; the message names the command that installs it: exit code 3."""

    exit_code = 3


class OutputError(EmuError):
    """A file or the cache cannot be written, or a device fails: exit code 74."""

    exit_code = 74


def as_emu_error(error: Exception) -> EmuError:
    """Return ``error`` if it is an EmuError, else an EmuError that says in one line what ``error`` means to a user."""
    if isinstance(error, EmuError):
        return error
    if isinstance(error, OSError) and error.errno in _OUTPUT_LOST:
        return OutputError(f"{error.filename or 'what emu prints'}: cannot be written: {error.strerror}")
    if isinstance(error, OSError) and error.errno == errno.EIO:  # of a damaged disk, or of a terminal that is gone
        return OutputError(f"{error.filename or 'a file or stream'}: cannot be read or written: {error.strerror}")
    if isinstance(error, MemoryError):
        return EmuError("there is not enough memory")
    return EmuError(f"an error in emu: {type(error).__name__}: {error}")
