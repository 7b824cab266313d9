"""The core that a firmware runs on."""

from emu.architectures.armv7em.core import CortexM
from emu.architectures.core import Core
from emu.architectures.xtensa.core import Lx7
from emu.firmware import Firmware

_CORES: dict[str, type[CortexM] | type[Lx7]] = {"armv7em": CortexM, "xtensa": Lx7}


def core_of(firmware: Firmware) -> Core:
    """Return the core of the board that ``firmware`` is for."""
    return _CORES[firmware.board.architecture](firmware)
