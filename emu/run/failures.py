"""A part of a run that fails leaves the rest: the record says what is missing, and the exit code tells at the end."""

import logging
from collections.abc import Iterable

from emu.errors import EmuError, InputError, MissingToolError, OutputError, as_emu_error
from emu.record import Failure, Run

_ERRORS = {error.exit_code: error for error in (EmuError, InputError, MissingToolError, OutputError)}
_INTERRUPTED = 130
"""The exit code after an interrupt from the terminal."""
_log = logging.getLogger(__name__)


def failure(part: str, error: Exception) -> Failure:
    """Return the record of what ``part`` of a run failed with. `emu --debug` prints the traceback."""
    _log.debug("%s", part, exc_info=error)
    told = as_emu_error(error)
    return Failure(part=part, detail=str(told), exit_code=told.exit_code)


def interruption(part: str, interrupt: KeyboardInterrupt | SystemExit) -> Failure:
    """Return the record of what ended ``part`` of a run: a request to end."""
    code = _INTERRUPTED if isinstance(interrupt, KeyboardInterrupt) else interrupt.code
    return Failure(part=part, detail="interrupted", exit_code=code if isinstance(code, int) else EmuError.exit_code)


def raise_first_failure(runs: Iterable[Run]) -> None:
    """Raise the first failure in the records of ``runs`` as the error that it was; do nothing if there is none."""
    for run in runs:
        for each in run.failures:
            raise _ERRORS.get(each.exit_code, EmuError)(f"{each.part}: {each.detail}")
