"""How the command line ends: one line about what went wrong, and the exit code that belongs to it.

Only a failed verdict ends with exit code 1.
"""

import contextlib
import logging
import os
import signal
import sys
import traceback
from collections.abc import Iterator
from typing import NoReturn

from emu.errors import EmuError, as_emu_error

_INTERNAL = EmuError.exit_code
_SIGNALS = (signal.SIGTERM, signal.SIGHUP)
_STDERR = 2
_HINT = "`emu --debug ...` shows more"


def open_standard_streams() -> None:
    """Open /dev/null in the place of each standard stream that is closed.

    Else the first file that emu opens would take the stream's number, and receive the printed text.
    """
    while (file := os.open(os.devnull, os.O_RDWR)) <= _STDERR:
        os.set_inheritable(file, True)
    os.close(file)
    for number, (name, mode) in enumerate((("stdin", "r"), ("stdout", "w"), ("stderr", "w"))):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(number, mode))


def signals_end_at_once() -> None:
    """Let a signal end this process without a traceback, if there is nothing to clear up."""
    if signal.getsignal(signal.SIGINT) == signal.default_int_handler:  # the shell lets jobs in its background ignore it
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    for number in _SIGNALS:
        if signal.getsignal(number) == _end:
            signal.signal(number, signal.SIG_DFL)


def signals_end_in_order() -> None:
    """Treat a request to end as an interrupt: emulators end, and no temporary file stays."""
    if signal.getsignal(signal.SIGINT) == signal.SIG_DFL:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in _SIGNALS:
        if signal.getsignal(number) == signal.SIG_DFL:  # nohup wants a hangup ignored
            signal.signal(number, _end)


def _end(number: int, _frame: object) -> NoReturn:
    for each in _SIGNALS:
        signal.signal(each, lambda *_: None)  # once is enough: a second one would end what clears up
    sys.exit(128 + number)


@contextlib.contextmanager
def one_line_for_failures(debug: bool) -> Iterator[None]:
    """Turn an exception inside into a line on stderr and an exit code; with ``debug``, print a traceback first."""
    if debug:
        logging.basicConfig(format="%(message)s")
        logging.getLogger("emu").setLevel(logging.DEBUG)
    try:
        try:
            yield
        except SystemExit as end:  # typer ends with 1 after a broken pipe, too
            if isinstance(end.__context__, BrokenPipeError):
                raise end.__context__ from None
            sys.stdout.flush()  # now: the interpreter would end with a code of its own
            raise
    except Exception as error:
        if isinstance(error.__cause__, SystemExit):  # a signal came while Python made a class
            raise error.__cause__ from None
        failure = as_emu_error(error)
        if debug:
            traceback.print_exception(error)
        hint = "" if debug or failure.exit_code != _INTERNAL else f" ({_HINT})"
        with contextlib.suppress(OSError):
            print(f"error: {failure}{hint}", file=sys.stderr, flush=True)
        _forget_what_cannot_be_printed()
        sys.exit(failure.exit_code)


def _forget_what_cannot_be_printed() -> None:
    """Let the interpreter discard the text that a full disk or a closed pipe did not take."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
