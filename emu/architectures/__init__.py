"""What differs between processors, each kind in a folder of its own."""

from emu.architectures.armv7em.architecture import Armv7EM
from emu.architectures.protocol import Architecture
from emu.architectures.xtensa.architecture import Xtensa
from emu.targets import Board

_ARCHITECTURES: dict[str, Architecture] = {"armv7em": Armv7EM(), "xtensa": Xtensa()}


def architecture_of(board: Board) -> Architecture:
    """Return the architecture of the board's processor."""
    return _ARCHITECTURES[board.architecture]
