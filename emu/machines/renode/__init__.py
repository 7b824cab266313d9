"""Firmware in Renode, driven over Renode's server for Robot Framework."""

from emu.firmware import Firmware
from emu.instruments import Instruments
from emu.machines.renode.installation import find_renode as find_renode
from emu.machines.renode.installation import renode_version
from emu.machines.renode.machine import RenodeMachine as RenodeMachine
from emu.machines.renode.renodes import Renodes
from emu.machines.shared import Shared
from emu.targets import Board, Target


def open_machine(firmware: Firmware, target: Target, instruments: Instruments, shared: Shared | None) -> RenodeMachine:
    """Return the machine with ``firmware``; those with one ``shared`` run in one Renode, one after the other."""
    return RenodeMachine(firmware, target, instruments, None if shared is None else shared.the(Renodes))


def version(_board: Board) -> dict[str, str]:
    """Return the version of Renode; raises MissingToolError if it is missing or too old."""
    return {"renode": renode_version()}
