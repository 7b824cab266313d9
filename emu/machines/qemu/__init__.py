"""Firmware in QEMU: the machine, and QEMU's own part of each core."""

from emu.firmware import Firmware
from emu.instruments import Instruments
from emu.machines.qemu.cores import core_type
from emu.machines.qemu.machine import QemuMachine as QemuMachine
from emu.machines.qemu.process import qemu_version
from emu.targets import Board, Target


def open_machine(firmware: Firmware, target: Target, instruments: Instruments, _shared: object) -> QemuMachine:
    """Return the machine with ``firmware``."""
    return QemuMachine(firmware, target, instruments)


def version(board: Board) -> dict[str, str]:
    """Return the version of the QEMU that emulates the board's core; raises MissingToolError if it is missing."""
    return {"qemu": qemu_version(core_type(board))}
