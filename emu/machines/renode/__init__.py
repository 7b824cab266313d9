"""Firmware in Renode, driven over Renode's server for Robot Framework."""

from emu.machines.renode.installation import find_renode as find_renode
from emu.machines.renode.installation import renode_version as renode_version
from emu.machines.renode.machine import RenodeMachine as RenodeMachine
