"""A Cortex-M in QEMU: its registers by gdb's numbers, its exceptions by their frames."""

from collections.abc import Sequence
from typing import ClassVar, Literal

import numpy as np

from emu.architectures.armv7em.code_map import CodeMap
from emu.architectures.armv7em.thumb import WAITS
from emu.architectures.armv7em.unwind import unwind
from emu.emulators import EMULATORS
from emu.firmware import Firmware
from emu.machines.cortex_m_exceptions import FAULT_VECTORS_BYTES, describe_exception, fault_handlers, read_exception
from emu.machines.qemu.core import CoreFault, Memory, Standing
from emu.native.qemu import Lowest
from emu.probes.callers import unwind_thumb
from emu.probes.stack import StackPeak, peak_backtrace
from emu.record import Frame

_R0, _SP, _LR, _PC = 0, 13, 14, 15
_REGISTERS = 16
_MACHINES = {"cortex-m4": "mps2-an386", "cortex-m7": "mps2-an500"}  # the plugin leaves nothing of them but the core


class CortexM:
    """The core (see ``emu.machines.qemu.core.Core``)."""

    command: ClassVar = EMULATORS["qemu"].programs["armv7em"]
    package: ClassVar = "qemu-system-arm"
    stack_pointer: ClassVar[Literal["MSP", "a1"]] = "MSP"
    below_sp: ClassVar = 0
    endings: ClassVar = {
        "fatal: Lockup": "the core locks up, as it cannot take a fault's exception; without a debugger BKPT makes one "
        "(semihosting: only Unicorn serves it)"
    }

    def __init__(self, firmware: Firmware):
        self._firmware = firmware
        self._code = CodeMap(firmware)
        assert firmware.start.vector_table is not None, "Armv7-M starts by one"
        self._vector_table = firmware.start.vector_table

    # ---- starting ----------------------------------------------------------------------------------------------------

    def arguments(self) -> list[str]:
        """Return the machine, and where it finds the vector table."""
        return ["-M", _MACHINES[self._firmware.board.cpu], "-global", f"armv7m.init-nsvtor={self._vector_table:#x}"]

    def sp_changes(self) -> bytes:
        """Return a bit for each halfword: whether an instruction that changes SP begins there."""
        changes = []
        for region, deltas in zip(self._code.regions, self._code.deltas, strict=True):
            bits = deltas != 0
            for first, last in self._code.unknown:
                if first in region:
                    bits[(first - region.start) // 2 : (last - region.start) // 2 + 1] = True
            changes.append(bits)
        return np.packbits(np.concatenate(changes), bitorder="little").tobytes()

    def at_reset(self, qemu: Standing) -> dict[str, tuple[object, object]]:
        """Return pc, SP and the vector table as QEMU and as the ELF have them."""
        table = self._vector_table
        return {
            "pc": (qemu.gdb.read_register(_PC), self._firmware.reset_pc),
            "sp": (qemu.gdb.read_register(_SP), self._firmware.initial_sp),
            "the vector table": (qemu.gdb.read_memory(table, 8), qemu.read(table, 8)),
        }

    def handlers(self, qemu: Standing) -> frozenset[int]:
        """Return the entries of the handlers of NMI, HardFault, MemManage, BusFault and UsageFault."""
        return fault_handlers(qemu.read(self._vector_table, FAULT_VECTORS_BYTES))

    # ---- at a stop ---------------------------------------------------------------------------------------------------

    def pc(self, qemu: Standing) -> int:
        """Return pc."""
        return qemu.gdb.read_register(_PC)

    def return_from_function(self, qemu: Standing) -> None:
        """Go on at the address in LR."""
        qemu.gdb.write_register(_PC, qemu.gdb.read_register(_LR) & ~1)

    def first_argument(self, qemu: Standing) -> int:
        """Return r0."""
        return qemu.gdb.read_register(_R0)

    def registers(self, qemu: Standing) -> list[int]:
        """Return r0 to r15."""
        return [qemu.gdb.read_register(number) for number in range(_REGISTERS)]

    def fault(self, qemu: Standing, *, at_handler: bool) -> CoreFault | None:
        """Return what made the core take the exception that it is in."""
        exception = read_exception(qemu.gdb)
        if exception is None or not (at_handler or exception.is_fault):
            return None
        registers = exception.registers
        pc = None if registers is None else registers[_PC]
        code = b"" if pc is None else qemu.read(pc, 4)
        kind, detail, address = describe_exception(self._firmware.board, exception, code)
        return CoreFault(kind, detail, address, registers, pc, exception.is_jump)

    def waits(self, qemu: Standing) -> tuple[str, int] | None:
        """Return the WFI or WFE before pc."""
        before = qemu.gdb.read_register(_PC) - 2
        name = WAITS.get(int.from_bytes(qemu.read(before, 2), "little"))
        return None if name is None else (name, before)

    def pc_of(self, registers: Sequence[int]) -> int:
        """Return r15."""
        return registers[_PC]

    def at(self, registers: Sequence[int], pc: int) -> list[int]:
        """Return r0 to r14 and another r15."""
        return [*registers[:_PC], pc]

    # ---- frames ------------------------------------------------------------------------------------------------------

    def backtrace(self, registers: Sequence[int], read: Memory) -> list[Frame]:
        """Return the frames by unwind information, or by the instructions where there is none."""
        firmware, pc = self._firmware, registers[_PC]
        return unwind(firmware, registers, read, registers[_SP], pc, firmware.initial_sp)

    def peak(self, lowest: Lowest) -> tuple[int, list[Frame]]:
        """Return all that SP has passed, and the frames by the snapshot of then."""
        top, stack = self._firmware.initial_sp, bytes(lowest.stack[: lowest.stack_bytes])
        registers = [*lowest.registers[:_PC], lowest.pc]
        peak = StackPeak(lowest.sp, lowest.lowered_at, registers, lowest.stack_start, stack)
        return top - lowest.sp, peak_backtrace(self._firmware, peak, self._code.delta_at, top)

    def callers(self, firmware: Firmware, registers: Sequence[int], read: Memory) -> list[Frame]:
        """Return the frames, as in Unicorn."""
        return unwind_thumb(firmware, registers, read)

    def sets_sp_anew(self, address: int) -> bool:
        """Return whether it is one of those behind which the stack may be another one."""
        return not self._code.behind_anew.isdisjoint((address + 2, address + 4))
