"""The core in a stopped engine."""

from unicorn.arm_const import (
    UC_ARM_REG_LR,
    UC_ARM_REG_PC,
    UC_ARM_REG_PSP,
    UC_ARM_REG_R0,
    UC_ARM_REG_SP,
    UC_ARM_REG_XPSR,
)
from unicorn.unicorn import Uc, UcError

_REGISTERS = {f"r{number}": UC_ARM_REG_R0 + number for number in range(13)} | {
    "sp": UC_ARM_REG_SP,
    "lr": UC_ARM_REG_LR,
    "pc": UC_ARM_REG_PC,
    "psp": UC_ARM_REG_PSP,
    "xpsr": UC_ARM_REG_XPSR,
}


class Stopped:
    """The core (see ``emu.architectures.core.StoppedCore``)."""

    def __init__(self, engine: Uc):
        self._engine = engine

    def register(self, name: str) -> int:
        """Return a register."""
        return self._engine.reg_read(_REGISTERS[name])

    def read(self, address: int, size: int) -> bytes:
        """Return memory, or nothing if there is none."""
        try:
            return bytes(self._engine.mem_read(address, size))
        except UcError:
            return b""
