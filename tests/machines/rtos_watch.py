"""The slow truth about stacks under an RTOS: Python looks at SP and PSP before every instruction."""

from dataclasses import dataclass, field

import capstone
from unicorn import UC_HOOK_CODE
from unicorn.arm_const import UC_ARM_REG_IPSR, UC_ARM_REG_PSP, UC_ARM_REG_R0, UC_ARM_REG_R12, UC_ARM_REG_SP
from unicorn.unicorn import Uc

from emu.firmware import Firmware
from emu.instruments import Instruments
from emu.machines import Limits, Measurements, Stop
from emu.machines.unicorn import UnicornMachine
from emu.machines.unicorn.run import Run
from emu.targets import Target

_REGISTERS = {f"r{number}": UC_ARM_REG_R0 + number for number in range(12)} | {"r12": UC_ARM_REG_R12}
_OTHER_NAMES = {"sb": "r9", "sl": "r10", "fp": "r11", "ip": "r12"}


@dataclass
class Watch:
    """Every address that a stack pointer had, or below which a handler has saved a task's registers."""

    pointers: set[int] = field(default_factory=set)
    _saving: int | None = None

    def instruction(self, engine: Uc, address: int, size: int, _data: object) -> None:
        self.pointers |= {engine.reg_read(UC_ARM_REG_SP), engine.reg_read(UC_ARM_REG_PSP)}
        in_handler = engine.reg_read(UC_ARM_REG_IPSR) & 0x1FF != 0
        if self._saving is not None and in_handler:
            saved_to, frame = engine.reg_read(self._saving), engine.reg_read(UC_ARM_REG_PSP)
            if frame - 256 <= saved_to < frame:
                self.pointers.add(saved_to)
        self._saving = self._base_of_push(bytes(engine.mem_read(address, size)))

    @staticmethod
    def _base_of_push(code: bytes) -> int | None:
        disassembler = capstone.Cs(capstone.CS_ARCH_ARM, capstone.CS_MODE_THUMB + capstone.CS_MODE_MCLASS)
        for _, _, mnemonic, operands in disassembler.disasm_lite(code, 0):
            base = operands.split("!")[0]
            if mnemonic.startswith(("stmdb", "vstmdb")) and "!" in operands and base != "sp":
                return _REGISTERS[_OTHER_NAMES.get(base) or base]
        return None

    def peak(self, bottom: int, top: int) -> int:
        """Return the bytes from ``top`` to the lowest pointer above ``bottom``."""
        return top - min(pointer for pointer in self.pointers if bottom < pointer <= top)


class _WatchedMachine(UnicornMachine):
    """A machine whose engine the watch looks into."""

    def __init__(self, firmware: Firmware, target: Target, instruments: Instruments):
        super().__init__(firmware, target, instruments)
        self.watch = Watch()

    def _reset(self) -> Run:
        run = super()._reset()
        run.engine.hook_add(UC_HOOK_CODE, self.watch.instruction)
        return run


def watched(firmware: Firmware, target: Target) -> tuple[Stop, Measurements, Watch]:
    """Return how ``firmware`` ends, what emu measures, and what the watch has seen."""
    with _WatchedMachine(firmware, target, Instruments(limits=Limits(seconds=300))) as machine:
        return machine.boot(), machine.measure(), machine.watch
