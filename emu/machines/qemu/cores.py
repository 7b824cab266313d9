"""Which core a board has."""

from emu.firmware import Firmware
from emu.machines.qemu.core import Core
from emu.machines.qemu.cortex_m import CortexM
from emu.machines.qemu.lx7 import Lx7
from emu.targets import Board

_CORES: dict[str, type[CortexM] | type[Lx7]] = {"armv7em": CortexM, "xtensa": Lx7}


def core_type(board: Board) -> type[Core]:
    """Return the kind of core that is on ``board``."""
    return _CORES[board.architecture]


def core_of(firmware: Firmware) -> Core:
    """Return the core that runs ``firmware``."""
    return _CORES[firmware.board.architecture](firmware)
