"""Firmware in Unicorn, which runs in this process."""

from unicorn.unicorn import __version__ as unicorn_version

from emu.firmware import Firmware
from emu.instruments import Instruments
from emu.machines.unicorn.machine import UnicornMachine as UnicornMachine
from emu.targets import Board, Target


def open_machine(firmware: Firmware, target: Target, instruments: Instruments, _shared: object) -> UnicornMachine:
    """Return the machine with ``firmware``."""
    return UnicornMachine(firmware, target, instruments)


def version(_board: Board) -> dict[str, str]:
    """Return the version of Unicorn."""
    return {"unicorn": unicorn_version}
