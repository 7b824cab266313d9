"""Which core a board has."""

from emu.firmware import Firmware
from emu.machines.qemu.core import QemuCore
from emu.machines.qemu.cortex_m import QemuCortexM
from emu.machines.qemu.lx7 import QemuLx7
from emu.targets import Board

_CORES: dict[str, type[QemuCortexM] | type[QemuLx7]] = {"armv7em": QemuCortexM, "xtensa": QemuLx7}


def core_type(board: Board) -> type[QemuCore]:
    """Return the kind of core that is on ``board``."""
    return _CORES[board.architecture]


def core_in_qemu(firmware: Firmware) -> QemuCore:
    """Return the core that runs ``firmware``."""
    return _CORES[firmware.board.architecture](firmware)
