"""Firmware as a program for the machine that builds it, under AddressSanitizer and UndefinedBehaviorSanitizer."""

from emu.firmware import Firmware
from emu.instruments import Instruments
from emu.machines.host.machine import HostMachine as HostMachine
from emu.targets import Board, Target
from emu.toolchains import find_toolchain


def open_machine(firmware: Firmware, _target: Target, instruments: Instruments, _shared: object) -> HostMachine:
    """Return the machine with ``firmware`` in it."""
    return HostMachine(firmware, instruments)


def version(board: Board) -> dict[str, str]:
    """Return the version of the compiler that makes the programs; raises MissingToolError if it is missing."""
    return {"cc": find_toolchain(board.build.toolchain).version}
