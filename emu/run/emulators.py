"""Open the machine of a target, and find the version of its emulator.

An emulator's package is imported on demand: to import all of them takes longer than many commands run.
"""

from importlib import import_module
from typing import Protocol, cast

from emu.emulators import Emulator
from emu.errors import MissingToolError
from emu.firmware import Firmware
from emu.instruments import Instruments, require
from emu.machines import Machine
from emu.machines.shared import Shared
from emu.targets import Board, Target


class EmulatorPackage(Protocol):
    """The functions of a package that drives an emulator."""

    def open_machine(
        self, firmware: Firmware, target: Target, instruments: Instruments, shared: Shared | None, /
    ) -> Machine:
        """Return the machine with ``firmware`` loaded. If ``shared`` is None, the machine shares nothing.

        Raises InputError if the firmware is not for this emulator, and MissingToolError if the emulator is missing.
        """
        ...

    def version(self, board: Board, /) -> dict[str, str]:
        """Return the version of the program that runs the board's firmware, by the program's name in records.

        Raises MissingToolError, with the command that installs the program, if the program is missing.
        """
        ...


def open_machine(firmware: Firmware, target: Target, instruments: Instruments, shared: Shared | None = None) -> Machine:
    """Return the machine of the target's emulator with ``firmware`` loaded.

    What is slow to start comes from ``shared``, and outlives the machine; without it, it ends with the machine.

    Raises InputError if the emulator cannot measure what ``instruments`` ask for, and MissingToolError if the emulator
    is missing.
    """
    require(instruments, target)
    return _package(target.emulator).open_machine(firmware, target, instruments, shared)


def emulator_version(target: Target) -> dict[str, str]:
    """Return the version of the program that runs the target's firmware, by the program's name in records.

    Raises MissingToolError, with the command that installs the program, if the program is missing.
    """
    return _package(target.emulator).version(target.board)


def _package(emulator: Emulator) -> EmulatorPackage:
    try:
        return cast(EmulatorPackage, import_module(emulator.package))
    except ModuleNotFoundError as error:
        raise MissingToolError(f"{error.name} is not installed; install it with: pip install {error.name}") from error
