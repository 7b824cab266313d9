"""Renode's own part of a core: the platform's text, the numbers of registers, and the command at reset."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from emu.architectures.core import Memory
from emu.firmware import Firmware
from emu.machines.renode.image import Image, as_linked
from emu.machines.renode.monitor import State
from emu.machines.renode.renodes import Renodes

Registers = Mapping[str, int]
"""Renode's register numbers, or values, by their names in an ``emu.architectures.core.StoppedCore``."""

_CODE_ADDRESSES = frozenset({"pc", "epc1", "epc6", "depc"})


@dataclass(frozen=True)
class RenodeCore:
    """A core in Renode."""

    platform: str
    """The core in the platform's description, named ``cpu``; ``{cpu}`` is replaced by the board's CPU."""
    platform_registers: frozenset[str]
    """The memories of kind "registers" that come with the core."""
    registers: Registers
    """The numbers of the registers that every stop reads."""
    frame_registers: Registers
    """The numbers of the other registers that frames need."""
    start: Callable[[Firmware], str]
    """Returns the command that resets the core, after memory has been filled."""
    sleeps_at: bytes = b""
    """The instruction at which Renode's core sleeps as in WFI, although the chip's does not."""
    image: Callable[[Firmware, Renodes], Image] = as_linked
    """Returns what Renode loads; raises MissingToolError if firmware cannot run right on this core.

    It may take a Renode, to ask what the core computes.
    """
    write_stack_code: Callable[[Firmware, Path], None] | None = None
    """Writes what the code does to SP (see ``stack_watch.cs``); None if SP is watched at every instruction."""
    complete: Callable[[Registers], Registers] = dict
    """Returns the values that Renode shows, and the values computed from them."""


class Stopped:
    """The core while it is stopped (see ``emu.architectures.core.StoppedCore``).

    ``ask`` returns the values of registers by their numbers. ``peek`` returns memory and mapped registers of the core,
    and raises ValueError if there is neither.
    """

    def __init__(
        self,
        firmware: Firmware,
        core: RenodeCore,
        state: State,
        ask: Callable[[Registers], Registers],
        peek: Memory,
        image: Image,
    ):
        self._firmware, self._core, self._state, self._image = firmware, core, state, image
        self._ask, self._peek = ask, peek
        self._stack_start, self._stack = firmware.initial_sp, b""

    def register(self, name: str) -> int:
        """Return a register; the first one of ``frame_registers`` fetches all of them."""
        if name == "pc":
            value = self._firmware.architecture.code_address(self._state.pc)
        else:
            value = self._state.registers[name] if name in self._state.registers else self._all[name]
        return self._image.pc_of(value) if name in _CODE_ADDRESSES else value

    def read(self, address: int, size: int) -> bytes:
        """Return memory: constants come from the ELF, and the whole stack is fetched at once."""
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
