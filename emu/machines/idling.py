"""Words about firmware that gets no further, the same for every emulator."""

from emu.architectures.core import Core, StoppedCore
from emu.native import Poll
from emu.targets import Board

IDLES = "idles in `b .`, and no interrupt ends that"
_POLLS, _LATELY = 100, 1000
"""Reads that make a poll, and the instructions since the last of them."""


def waits_in(instruction: str) -> str:
    """Return what is said of a core that waits in ``instruction`` for ever."""
    return f"waits in {instruction} for an interrupt that nothing enables"


def last_activity(board: Board, core: Core, stopped: StoppedCore, poll: Poll | None, instructions: int) -> str:
    """Return what the firmware does when a limit ends the run, as the end of a sentence, or "" if that is not known.

    ``poll`` is the last read of a peripheral, and ``instructions`` are those so far.
    """
    if (loop := core.idles(stopped)) is not None:
        return f"; it idles in `{loop}`" + " after main" * core.is_after_main(stopped)
    if poll is None or poll.count < _POLLS or instructions - poll.at > _LATELY:
        return ""
    peripheral = board.peripheral_at(poll.address)
    if peripheral is None:
        return ""
    return f"; it polls {peripheral.name}+{poll.address - peripheral.start:#04x}, which reads {poll.value:#x}"
