"""What a machine in Renode has at its reset: memory with the firmware in it, and halting hooks."""

from emu.firmware import Firmware
from emu.machines.renode.core import Core
from emu.machines.renode.cortex_m import CortexM
from emu.machines.renode.lx7 import Lx7
from emu.probes.stack import PAINT

_CORES: dict[str, type[CortexM] | type[Lx7]] = {"armv7em": CortexM, "xtensa": Lx7}


def core_of(firmware: Firmware) -> Core:
    """Return the core that runs ``firmware``."""
    return _CORES[firmware.board.architecture](firmware)


def contents_at_reset(firmware: Firmware) -> list[tuple[int, bytes]]:
    """Return what memory holds, by address: RAM is painted, as it is not zero on a board either."""
    paint = [(region.start, bytes([PAINT]) * region.size) for region in firmware.board.ram]
    return paint + [(segment.load_address, segment.data) for segment in firmware.segments if segment.data]


def stops(firmware: Firmware, core: Core) -> list[int]:
    """Return where the core is to halt: where the firmware yields or ends, and at the handlers of faults."""
    waits = firmware.entry_of("emu_yield")
    return sorted({*firmware.exits, *core.handlers(), *([] if waits is None else [waits])})
