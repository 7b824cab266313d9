"""The machine that a target names, and what has to be there for it.

Each emulator's package is imported when it is asked for: together they take longer than many a command.
"""

from importlib import import_module
from typing import Protocol, cast

from emu.emulators import Emulator
from emu.errors import MissingToolError
from emu.firmware import Firmware
from emu.instruments import Instruments, require
from emu.machines import Machine
from emu.targets import Board, Target


class EmulatorPackage(Protocol):
    """What the package that drives an emulator has."""

    def open_machine(self, firmware: Firmware, target: Target, instruments: Instruments, /) -> Machine:
        """Return the machine with ``firmware`` in it.

        Raises InputError if the firmware is not for it, and MissingToolError if the emulator is missing.
        """
        ...

    def version(self, board: Board, /) -> dict[str, str]:
        """Return the version of the program that runs the board's firmware, by the name that records give it.

        Raises MissingToolError, with the command that installs it, if it is missing.
        """
        ...


def open_machine(firmware: Firmware, target: Target, instruments: Instruments) -> Machine:
    """Return the machine of the target's emulator with ``firmware`` in it.

    Raises InputError for what only another emulator measures, and MissingToolError if the emulator is missing.
    """
    require(instruments, target)
    return _package(target.emulator).open_machine(firmware, target, instruments)


def emulator_version(target: Target) -> dict[str, str]:
    """Return the version of what runs the target's firmware, by the name that records give it.

    Raises MissingToolError, with the command that installs it, if it is missing.
    """
    return _package(target.emulator).version(target.board)


def _package(emulator: Emulator) -> EmulatorPackage:
    try:
        return cast(EmulatorPackage, import_module(emulator.package))
    except ModuleNotFoundError as error:
        raise MissingToolError(f"{error.name} is not installed; install it with: pip install {error.name}") from error
