"""A Cortex-M in QEMU: the register numbers of QEMU's stub, and the plugin's map of the code."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from emu.architectures.armv7em.core import CortexM
from emu.architectures.armv7em.exceptions import REGISTERS, pushed_frame
from emu.emulators import EMULATORS
from emu.firmware import Firmware
from emu.machines.qemu.core import Memory, Standing

_NUMBERS = {name: number for number, name in enumerate(REGISTERS) if name != "psp"} | {"xpsr": 25}
_MACHINES = {"cortex-m4": "mps2-an386", "cortex-m7": "mps2-an500"}  # the plugin removes everything but the core

_SYST_CSR, _ICSR, _ISER, _ISPR, _INTERRUPT_BYTES = 0xE000_E010, 0xE000_ED04, 0xE000_E100, 0xE000_E200, 32
_TICKS, _PENDS = 3, 1 << 28 | 1 << 26
"""ENABLE and TICKINT of SYST_CSR; PENDSVSET and PENDSTSET of ICSR."""


class QemuCortexM:
    """The core (see ``emu.machines.qemu.core.QemuCore``)."""

    command: ClassVar = EMULATORS["qemu"].programs["armv7em"]
    package: ClassVar = "qemu-system-arm"
    endings: ClassVar = {
        "fatal: Lockup": "the core locks up: it cannot take a fault's exception; BKPT without a debugger is a fault "
        "(semihosting: only Unicorn serves it)"
    }

    def __init__(self, firmware: Firmware):
        self.core = CortexM(firmware)
        self._firmware = firmware

    def arguments(self) -> list[str]:
        """Return the machine, and the address of its vector table."""
        machine, table = _MACHINES[self._firmware.board.cpu], self._firmware.start.vector_table
        return ["-M", machine, "-global", f"armv7m.init-nsvtor={table:#x}"]

    def sp_changes(self) -> bytes:
        """Return a bit for each halfword: whether an instruction that changes SP begins there."""
        code, changes = self.core.code, []
        for region, deltas in zip(code.regions, code.deltas, strict=True):
            bits = np.asarray(deltas) != 0
            for first, last in code.unknown:
                if first in region:
                    bits[(first - region.start) // 2 : (last - region.start) // 2 + 1] = True
            changes.append(bits)
        return np.packbits(np.concatenate(changes), bitorder="little").tobytes()

    def stack_changes(self) -> bytes:
        """Return a bit for each halfword: whether the instruction before it may lead SP to another stack."""
        code, changes = self.core.code, []
        for region in code.regions:
            bits = np.zeros(region.size // 2, np.bool_)
            bits[[(address - region.start) // 2 for address in code.behind_anew if address in region]] = True
            changes.append(bits)
        return np.packbits(np.concatenate(changes), bitorder="little").tobytes()

    def stops(self, read: Memory) -> frozenset[int]:
        """Return the handlers of faults."""
        return self.core.fault_handlers(read)

    def stopped(self, qemu: Standing) -> "_Stopped":
        """Return the core, whose registers are read one by one."""
        return _Stopped(self._firmware, qemu)

    def may_be_interrupted(self, qemu: Standing) -> bool:
        """Return whether SysTick ticks, or an enabled interrupt, SysTick or PendSV is pending; masks do not count."""
        control = int.from_bytes(qemu.gdb.read_memory(_SYST_CSR, 4), "little")
        state = int.from_bytes(qemu.gdb.read_memory(_ICSR, 4), "little")
        enabled, pending = (
            int.from_bytes(qemu.gdb.read_memory(start, _INTERRUPT_BYTES), "little") for start in (_ISER, _ISPR)
        )
        return control & _TICKS == _TICKS or bool(state & _PENDS) or bool(enabled & pending)

    def go_on_at(self, pc: int, qemu: Standing) -> None:
        """Write r15."""
        qemu.gdb.write_register(_NUMBERS["pc"], pc)


@dataclass(frozen=True)
class _Stopped:
    """The core while it is stopped (see ``emu.architectures.core.StoppedCore``)."""

    firmware: Firmware
    qemu: Standing

    def register(self, name: str) -> int:
        if name == "psp":  # the stubs of older QEMUs do not show it
            sp = self.qemu.shared.last_sp
            return 0 if sp == self.register("sp") else pushed_frame(sp, self.register("lr"))
        return self.qemu.gdb.read_register(_NUMBERS[name])

    def read(self, address: int, size: int) -> bytes:
        region = self.firmware.board.region_at(address)
        if region is None or region.kind == "memory":
            return self.qemu.read(address, size)
        return self.qemu.gdb.read_memory(address, size)  # only QEMU has the core's own registers
