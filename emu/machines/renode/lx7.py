"""The Xtensa LX7 in Renode.

Renode's interface is for a smaller core. It shows the 16 registers in the window and the first half of the register
file (AR0 to AR31). A frame with its registers in the other half ends the backtrace, unless they were spilled.
"""

from emu.architectures.xtensa.core import file_with_window
from emu.machines.renode.core import Registers, RenodeCore
from emu.machines.renode.monitor import CPU

_WINDOW, _SHOWN = 16, 32
# XtensaRegisters in Renode's sources
_A0, _PS, _EPC1, _EPC6, _DEPC, _EXCCAUSE, _EXCVADDR = 89, 38, 51, 56, 58, 77, 83
_AR0, _WINDOWBASE, _WINDOWSTART, _VECBASE = 1, 34, 35, 76


def _with_file(shown: Registers) -> Registers:
    window = [shown[f"a{number}"] for number in range(_WINDOW)]
    file = file_with_window(shown["windowbase"], window, [shown[f"ar{number}"] for number in range(_SHOWN)])
    return {**shown, **{f"ar{number}": value for number, value in enumerate(file)}}


LX7 = RenodeCore(
    platform="""\
cpu: CPU.Xtensa @ sysbus
    cpuType: "esp32s3"
    frequency: 240000000
""",
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
    complete=_with_file,
)
