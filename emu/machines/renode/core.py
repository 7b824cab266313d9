"""What of a core is Renode's own: the text of its platform, the numbers of its registers, and how it is started."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

from emu.architectures.core import Memory
from emu.firmware import Firmware
from emu.machines.renode.monitor import State

Registers = Mapping[str, int]
"""By the names of an ``emu.architectures.core.StoppedCore``: Renode's numbers, or values."""


@dataclass(frozen=True)
class RenodeCore:
    """A core in Renode."""

    platform: str
    """The core in the platform's description: it is called ``cpu``; ``{cpu}`` stands for the board's."""
    platform_registers: frozenset[str]
    """The memories of kind "registers" that come with it."""
    registers: Registers
    """The numbers of the registers that are looked at on every stop."""
    frame_registers: Registers
    """The numbers of those that frames need beside them."""
    start: Callable[[Firmware], str]
    """Returns the command that puts the core to its reset, once memory has its contents."""
    complete: Callable[[Registers], Registers] = dict
    """Returns the values that Renode shows, and with them those that follow from these."""


class Stopped:
    """The core while it stands (see ``emu.architectures.core.StoppedCore``).

    ``ask`` returns the values of registers by their numbers. ``peek`` returns memory, registers of the core among it,
    and raises ValueError if there is nothing.
    """

    def __init__(
        self,
        firmware: Firmware,
        core: RenodeCore,
        state: State,
        ask: Callable[[Registers], Registers],
        peek: Memory,
    ):
        self._firmware, self._core, self._state = firmware, core, state
        self._ask, self._peek = ask, peek
        self._stack_start, self._stack = firmware.initial_sp, b""

    def register(self, name: str) -> int:
        """Return a register; those that frames need come all at once."""
        if name == "pc":
            return self._firmware.architecture.code_address(self._state.pc)
        if name in self._state.registers:
            return self._state.registers[name]
        return self._all[name]

    def read(self, address: int, size: int) -> bytes:
        """Return memory: what the firmware cannot change from the ELF, and the stack all at once."""
        firmware = self._firmware
        constant = b"" if firmware.board.has_ram_at(address) else firmware.bytes_at(address, size)
        try:
            if constant or not firmware.stack_region.start <= address < firmware.initial_sp:
                return constant or self._peek(address, size)
            if address < self._stack_start:
                self._stack_start, self._stack = address, self._peek(address, firmware.initial_sp - address)
        except ValueError:
            return b""
        return self._stack[address - self._stack_start :][:size]

    @cached_property
    def _all(self) -> Registers:
        return self._core.complete({**self._state.registers, **self._ask(self._core.frame_registers)})
