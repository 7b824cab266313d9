"""Firmware in Renode: a third opinion, driven over the server that Renode has for Robot Framework."""

from emu.machines.renode.installation import find_renode as find_renode
from emu.machines.renode.installation import renode_version
from emu.machines.renode.machine import RenodeMachine as RenodeMachine
from emu.targets import Board

open_machine = RenodeMachine


def version(_board: Board) -> dict[str, str]:
    """Return the version of Renode; raises MissingToolError if it is missing or too old."""
    return {"renode": renode_version()}
