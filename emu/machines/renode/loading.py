"""A machine in Renode at reset: its core, memory with the firmware, and halting hooks."""

from emu.architectures.cores import core_of
from emu.filler import PAINT
from emu.firmware import Firmware
from emu.machines.renode.core import RenodeCore
from emu.machines.renode.cortex_m import CORTEX_M
from emu.machines.renode.image import Image
from emu.machines.renode.lx7 import LX7

_CORES = {"armv7em": CORTEX_M, "xtensa": LX7}


def core_in_renode(firmware: Firmware) -> RenodeCore:
    """Return the core that runs ``firmware``."""
    return _CORES[firmware.board.architecture]


def contents_at_reset(firmware: Firmware, image: Image) -> list[tuple[int, bytes]]:
    """Return memory's contents by address; RAM is painted, as a real board's RAM is not zero."""
    paint = [(region.start, bytes([PAINT]) * region.size) for region in firmware.board.ram]
    return paint + list(image.contents)


def stops(firmware: Firmware) -> list[int]:
    """Return where to halt the core: where the firmware yields or ends, and at fault handlers."""
    waits, handlers = firmware.entry_of("emu_yield"), core_of(firmware).fault_handlers(firmware.bytes_at)
    return sorted({*firmware.exits, *handlers, *([] if waits is None else [waits])})
