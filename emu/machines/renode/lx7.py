"""The Xtensa LX7 in Renode.

Renode's cores ``esp32`` to ``esp32s3`` have no FPU. Its core ``de233_fpu`` has one, but only 32 address registers and
not 64, so a deep call spills registers sooner than on the chip.
"""

from functools import partial

from emu.architectures.xtensa.core import FILE
from emu.machines.renode.core import Registers, RenodeCore
from emu.machines.renode.fpu import image_for
from emu.machines.renode.monitor import CPU

_WINDOW, _SHOWN = 16, 32
# XtensaRegisters in Renode's sources
_A0, _PS, _EPC1, _EPC6, _DEPC, _EXCCAUSE, _EXCVADDR = 89, 38, 51, 56, 58, 77, 83
_AR0, _WINDOWBASE, _WINDOWSTART, _VECBASE = 1, 34, 35, 76


def _with_file(shown: Registers) -> Registers:
    """Return a file of 64 registers with the same frames in it: every window is in both halves.

    WINDOWBASE is in the second half, and WINDOWSTART has the bits of the last eight windows only. So no walk through
    the frames turns round.
    """
    panes = _SHOWN // 4
    base = shown["windowbase"] % panes + panes
    ages = (age for age in range(panes) if shown["windowstart"] >> (base - age) % panes & 1)
    file = {f"ar{number}": shown[f"ar{number % _SHOWN}"] for number in range(FILE)}
    return {**shown, **file, "windowbase": base, "windowstart": sum(1 << base - age for age in ages)}


_CORE = """\
cpu: CPU.Xtensa @ sysbus
    cpuType: "de233_fpu"
    frequency: 240000000
"""
LX7 = RenodeCore(
    platform=_CORE,
    platform_registers=frozenset(),
    registers={f"a{number}": _A0 + number for number in range(_WINDOW)}
    | {
        "ps": _PS,
        "epc1": _EPC1,
        "epc6": _EPC6,
        "depc": _DEPC,
        "exccause": _EXCCAUSE,
        "excvaddr": _EXCVADDR,
    },
    frame_registers={f"ar{number}": _AR0 + number for number in range(_SHOWN)}
    | {"windowbase": _WINDOWBASE, "windowstart": _WINDOWSTART, "vecbase": _VECBASE},
    start=lambda firmware: f"{CPU} PC {firmware.reset_pc:#x}",
    image=partial(image_for, _CORE),
    complete=_with_file,
)
