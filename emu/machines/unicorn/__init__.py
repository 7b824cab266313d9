"""Firmware in Unicorn, which runs in this process."""

from unicorn.unicorn import __version__ as unicorn_version

from emu.machines.unicorn.machine import UnicornMachine as UnicornMachine
from emu.targets import Board

open_machine = UnicornMachine


def version(_board: Board) -> dict[str, str]:
    """Return the version of Unicorn."""
    return {"unicorn": unicorn_version}
