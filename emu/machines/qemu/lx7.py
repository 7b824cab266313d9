"""The Xtensa LX7 in QEMU: its registers in gdb's packet and from the plugin."""

import struct
from functools import cached_property
from typing import ClassVar

from emu.architectures.xtensa.core import FILE, SPECIAL, Lx7, file_with_window
from emu.emulators import EMULATORS
from emu.firmware import Firmware
from emu.machines.qemu.core import Memory, Standing

_OFFSETS = {
    "pc": 0,
    "windowbase": 148,
    "windowstart": 152,
    "ps": 164,
    "epc1": 404,
    "epc6": 424,
    "depc": 432,
    "vecbase": 508,
    "exccause": 512,
    "excvaddr": 536,
    **{f"a{number}": 560 + 4 * number for number in range(16)},
}
"""Offsets in the packet of all registers, from gdb-config.c.inc of QEMU's core de233_fpu."""


class QemuLx7:
    """The core (see ``emu.machines.qemu.core.QemuCore``)."""

    command: ClassVar = EMULATORS["qemu"].programs["xtensa"]
    package: ClassVar = "qemu-system-misc"
    endings: ClassVar[dict[str, str]] = {}

    def __init__(self, firmware: Firmware):
        self.core = Lx7(firmware)
        self._firmware = firmware

    def arguments(self) -> list[str]:
        """Return the machine, and the address at which it starts."""
        start = f"loader,addr={self._firmware.reset_pc:#x},cpu-num=0"
        return ["-M", "sim", "-cpu", "de233_fpu", "-m", "1M", "-device", start]

    def sp_changes(self) -> bytes:
        """Return nothing: the plugin itself decodes the instructions."""
        return b""

    def stack_changes(self) -> None:
        """Return None: only the first stack is followed."""
        return

    def stops(self, read: Memory) -> frozenset[int]:
        """Return the place in our own startup code for exceptions; the plugin itself stops at the vectors."""
        del read
        return frozenset(filter(None, [self.core.unserved]))

    def stopped(self, qemu: Standing) -> "_Stopped":
        """Return the core, whose registers are read all at once."""
        return _Stopped(self.core, qemu)

    def may_be_interrupted(self, qemu: Standing) -> bool:
        """Return True: CCOMPARE is always on, and its interrupt's mask is not looked at."""
        del qemu
        return True

    def go_on_at(self, pc: int, qemu: Standing) -> None:
        """Write pc, the first register of the packet."""
        qemu.gdb.write_first_registers(struct.pack("<I", pc))


class _Stopped:
    """The core while it is stopped (see ``emu.architectures.core.StoppedCore``)."""

    def __init__(self, core: Lx7, qemu: Standing):
        self._core, self._qemu = core, qemu

    def register(self, name: str) -> int:
        if name.startswith("ar"):
            return self._file[int(name.removeprefix("ar"))]
        return self._special(name)

    def read(self, address: int, size: int) -> bytes:
        return self._qemu.read(address, size)

    @cached_property
    def _packet(self) -> bytes:
        return self._qemu.gdb.read_registers()

    def _special(self, name: str) -> int:
        offset = _OFFSETS[name]
        return int.from_bytes(self._packet[offset : offset + 4], "little")

    @cached_property
    def _file(self) -> list[int]:
        """The register file, which the plugin captures before the next instruction.

        If the core waits, or has jumped to an address without memory, the plugin does not run. Then only the registers
        in the window are known.
        """
        in_window = file_with_window(self._special("windowbase"), [self._special(f"a{n}") for n in range(16)])
        if self._core.waits(self) is not None:
            return in_window
        shared = self._qemu.shared
        shared.wanted = 1
        self._qemu.gdb.step()
        return list(shared.registers[len(SPECIAL) : len(SPECIAL) + FILE]) if shared.wanted == 0 else in_window
