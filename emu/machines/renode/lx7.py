"""The Xtensa LX7 in Renode: its registers by number, its exceptions by their cause.

Renode shows the 16 address registers in the window and not the register file, so frames further out are not known.
"""

from typing import ClassVar, Literal

from emu.architectures.xtensa.instructions import is_wait
from emu.architectures.xtensa.windows import before_entry, returns_to
from emu.firmware import Firmware
from emu.machines.lx7_exceptions import UNSERVED, describe_exception, read_unserved
from emu.machines.renode.core import CoreFault, Memory
from emu.machines.renode.monitor import CPU, State
from emu.record import Frame

_WINDOW = 16
_A0, _PS, _EPC1, _EPC6, _DEPC, _EXCCAUSE, _EXCVADDR = 89, 38, 51, 56, 58, 77, 83  # XtensaRegisters in Renode's sources
_DEBUG, _DOUBLE = "_DebugExceptionVector", "_DoubleExceptionVector"
_VECTORS = (_DEBUG, "_KernelExceptionVector", "_UserExceptionVector", _DOUBLE)
"""By what Cadence's and Espressif's startup code calls them."""
_SERVED = (1, 4, 5)
"""Causes for which firmware takes an exception and goes on: SYSCALL, an interrupt of level 1, MOVSP."""


class Lx7:
    """The core (see ``emu.machines.renode.core.Core``)."""

    stack_pointer: ClassVar[Literal["MSP", "a1"]] = "a1"
    stack_register: ClassVar[int] = _A0 + 1
    platform: ClassVar[str] = """\
cpu: CPU.Xtensa @ sysbus
    cpuType: "esp32s3"
    frequency: 240000000
"""
    platform_registers: ClassVar[frozenset[str]] = frozenset()
    registers: ClassVar[dict[str, int]] = {f"a{number}": _A0 + number for number in range(_WINDOW)} | {
        "ps": _PS,
        "epc1": _EPC1,
        "epc6": _EPC6,
        "depc": _DEPC,
        "exccause": _EXCCAUSE,
        "excvaddr": _EXCVADDR,
    }

    def __init__(self, firmware: Firmware):
        self._firmware = firmware

    def start(self) -> list[str]:
        """Return the command that puts the core to the firmware's first instruction."""
        return [f"{CPU} PC {self._firmware.reset_pc:#x}"]

    def handlers(self) -> frozenset[int]:
        """Return the exception vectors that symbols name, and where our own startup code goes with the rest."""
        entries = (self._firmware.entry_of(name) for name in (UNSERVED, *_VECTORS))
        return frozenset(entry for entry in entries if entry is not None)

    def return_address(self, state: State) -> int:
        """Return the address that the call left for ENTRY to rotate in: the window is still the caller's."""
        return returns_to(_argument(state, 0), state.pc)

    def first_argument(self, state: State) -> int:
        """Return what ENTRY will make a2 of."""
        return _argument(state, 2)

    def fault(self, state: State, read: Memory) -> CoreFault | None:
        """Return what made the core take the exception that it is in; None where the firmware serves it."""
        registers, firmware = state.registers, self._firmware
        cause, pc, address = registers["exccause"], registers["epc1"], registers["excvaddr"]
        if state.pc == firmware.entry_of(UNSERVED):
            unserved = read_unserved(firmware, read)
            if unserved is not None:
                cause, pc, address = unserved.cause, unserved.pc, unserved.address
        elif state.pc == firmware.entry_of(_DEBUG):
            return CoreFault("breakpoint", "BREAK, and no debugger", None, registers["epc6"], [])
        elif state.pc == firmware.entry_of(_DOUBLE):
            pc = registers["depc"]
        elif cause in _SERVED:
            return None
        kind, detail, about = describe_exception(
            firmware, cause, address, pc, registers["a1"], firmware.bytes_at(pc, 3)
        )
        return CoreFault(kind, detail, about, pc, [])

    def waits(self, code: bytes) -> str | None:
        """Return whether the last instruction is WAITI."""
        return "WAITI" if is_wait(code[-3:]) else None

    def backtrace(self, state: State, pc: int, read: Memory) -> list[Frame]:  # noqa: ARG002 - as Core has it
        """Return nothing: the callers' registers are not known."""
        return []


def _argument(state: State, number: int) -> int:
    """Return what a function that has just been called will find in its register ``number``."""
    return state.registers[f"a{before_entry(number, state.registers['ps'])}"]
