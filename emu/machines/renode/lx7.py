"""The Xtensa LX7 in Renode: its registers by number, its exceptions by their cause.

Of the register file Renode shows the 16 registers in the window and the first half (AR0 to AR31; its interface is that
of a smaller core): a frame whose registers are in the rest ends the backtrace, unless they were spilled to the stack.
"""

from dataclasses import replace
from typing import ClassVar, Literal

from emu.architectures.xtensa.instructions import is_wait
from emu.architectures.xtensa.windows import (
    BASE_SAVE_BYTES,
    Windows,
    before_entry,
    call_increment,
    is_in_window_vectors,
    old_base,
    returns_to,
    unwind,
)
from emu.firmware import Firmware
from emu.machines.lx7_exceptions import UNSERVED, describe_exception, read_unserved
from emu.machines.renode.core import CoreFault, Memory, Standing
from emu.machines.renode.monitor import CPU, State
from emu.record import Frame

_WINDOW, _SHOWN, _FILE = 16, 32, 64
# XtensaRegisters in Renode's sources
_A0, _PS, _EPC1, _EPC6, _DEPC, _EXCCAUSE, _EXCVADDR = 89, 38, 51, 56, 58, 77, 83
_AR0, _WINDOWBASE, _WINDOWSTART, _VECBASE = 1, 34, 35, 76
_PS_EXCM = 1 << 4
_DEBUG, _DOUBLE = "_DebugExceptionVector", "_DoubleExceptionVector"
_VECTORS = (_DEBUG, "_KernelExceptionVector", "_UserExceptionVector", _DOUBLE)
"""By what Cadence's and Espressif's startup code calls them."""
_SERVED = (1, 4, 5)
"""Causes for which firmware takes an exception and goes on: SYSCALL, an interrupt of level 1, MOVSP."""


class Lx7:
    """The core (see ``emu.machines.renode.core.Core``)."""

    stack_pointer: ClassVar[Literal["MSP", "a1"]] = "a1"
    stack_register: ClassVar[str] = "a1"
    # At reset and in the handlers of the windows a1 is nobody's SP, and PS.EXCM is set.
    not_on_stack: ClassVar[tuple[str, int] | None] = ("ps", _PS_EXCM)
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
    frame_registers: ClassVar[dict[str, int]] = {f"ar{number}": _AR0 + number for number in range(_SHOWN)} | {
        "windowbase": _WINDOWBASE,
        "windowstart": _WINDOWSTART,
        "vecbase": _VECBASE,
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

    def fault(self, standing: Standing) -> CoreFault | None:
        """Return what made the core take the exception that it is in; None where the firmware serves it."""
        firmware, state, registers = self._firmware, standing.state, standing.state.registers
        cause, pc, address = registers["exccause"], registers["epc1"], registers["excvaddr"]
        windows, shown = _windows(standing), None
        if state.pc == firmware.entry_of(UNSERVED):
            unserved = read_unserved(firmware, standing.read)
            if unserved is not None:
                cause, pc, address = unserved.cause, unserved.pc, unserved.address
            if unserved is not None and unserved.level > 1:
                detail = f"an interrupt of level {unserved.level}, which nothing in the firmware serves"
                return CoreFault("exception", detail, None, pc, self._frames(pc, windows, standing.read))
        elif state.pc == firmware.entry_of(_DEBUG):
            pc = registers["epc6"]
            frames = self._frames(pc, windows, standing.read)
            return CoreFault("breakpoint", "BREAK, and no debugger", None, pc, frames)
        elif state.pc == firmware.entry_of(_DOUBLE):
            if is_in_window_vectors(registers["depc"], standing.frame_registers()["vecbase"]):
                shown = pc  # the call or return of another function has led to the window's vector
                windows = replace(windows, base=old_base(registers["ps"]))
            pc = registers["depc"]
        elif cause in _SERVED:
            return None
        kind, detail, about = describe_exception(
            firmware, cause, address, pc, windows.register(1), firmware.bytes_at(pc, 3)
        )
        shown = pc if shown is None else shown
        return CoreFault(kind, detail, about, shown, self._frames(shown, windows, standing.read))

    def waits(self, code: bytes) -> str | None:
        """Return whether the last instruction is WAITI."""
        return "WAITI" if is_wait(code[-3:]) else None

    def backtrace(self, standing: Standing, pc: int) -> list[Frame]:
        """Return the frames by the register windows, as far as Renode shows them."""
        return self._frames(pc, _windows(standing), standing.read)

    def peak(self, standing: Standing, lowered_at: int) -> tuple[int, list[Frame]]:
        """Return all that SP has passed and the base save area below it, and the frames."""
        state = standing.state
        frames = self._frames(state.pc, _windows(standing), standing.read, lowered_at)
        return self._firmware.initial_sp - state.registers["a1"] + BASE_SAVE_BYTES, frames

    def _frames(self, pc: int, windows: Windows, read: Memory, shown: int | None = None) -> list[Frame]:
        firmware = self._firmware

        def peek(address: int, size: int) -> bytes:
            try:
                return firmware.bytes_at(address, size) or read(address, size)
            except ValueError:
                return b""

        return unwind(firmware, pc, windows, peek, shown)


def _windows(standing: Standing) -> Windows:
    """Return the registers as far as Renode shows them: the others are 0, which is no SP."""
    more, registers = standing.frame_registers(), standing.state.registers
    base = more["windowbase"]
    file = [more[f"ar{number}"] for number in range(_SHOWN)] + [0] * (_FILE - _SHOWN)
    for number in range(_WINDOW):
        file[(4 * base + number) % _FILE] = registers[f"a{number}"]
    return Windows(file, base, more["windowstart"], call_increment(registers["ps"]))


def _argument(state: State, number: int) -> int:
    """Return what a function that has just been called will find in its register ``number``."""
    return state.registers[f"a{before_entry(number, state.registers['ps'])}"]
