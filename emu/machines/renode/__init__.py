"""Firmware in Renode: a third opinion, driven over the server that Renode has for Robot Framework."""

from emu.machines.renode.installation import find_renode as find_renode
from emu.machines.renode.installation import renode_version as renode_version
from emu.machines.renode.machine import RenodeMachine as RenodeMachine
