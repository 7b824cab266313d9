"""What differs between the processors that Renode emulates, as the machine sees it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Literal, Protocol

from emu.machines.renode.monitor import State
from emu.record import Frame

Memory = Callable[[int, int], bytes]
"""Returns so many bytes from an address, registers of the core among them; raises ValueError where there is nothing."""


@dataclass(frozen=True)
class Standing:
    """A core that stands, and what can be asked about it then."""

    state: State
    read: Memory
    frame_registers: Callable[[], dict[str, int]]
    """Returns the values of ``Core.frame_registers``, by name."""


@dataclass(frozen=True)
class CoreFault:
    """An exception that means a fault, before its handler's first instruction."""

    kind: str
    detail: str
    address: int | None
    pc: int | None
    """The instruction that has made it; None where it is lost."""
    backtrace: list[Frame]


class Core(Protocol):
    """The processor in one Renode, with its firmware."""

    stack_pointer: ClassVar[Literal["MSP", "a1"]]
    """What the register is called that the stack is known by."""
    stack_register: ClassVar[str]
    """Which of ``registers`` that is."""
    not_on_stack: ClassVar[tuple[str, int] | None]
    """Which of ``registers`` and which bits of it say, when one is set, that it is no stack's at the moment."""
    platform: ClassVar[str]
    """The core in the platform's description: it is called ``cpu``; ``{cpu}`` stands for the board's."""
    platform_registers: ClassVar[frozenset[str]]
    """The memories of kind "registers" that come with it."""
    registers: ClassVar[dict[str, int]]
    """Renode's numbers of the registers that are looked at on every stop, by name."""
    frame_registers: ClassVar[dict[str, int]]
    """The same of those that frames need beside them."""

    def start(self) -> list[str]:
        """Return the commands that put the core to its reset, once memory has its contents."""
        ...

    def handlers(self) -> frozenset[int]:
        """Return where the core goes for an exception that no right program takes."""
        ...

    def return_address(self, state: State) -> int:
        """Return, before the first instruction of a function, where it will return to."""
        ...

    def first_argument(self, state: State) -> int:
        """Return the first argument of the function whose first instruction is the next."""
        ...

    def fault(self, standing: Standing) -> CoreFault | None:
        """Return what made the core take the exception whose handler it has arrived at; None where that is no fault."""
        ...

    def waits(self, code: bytes) -> str | None:
        """Return the name of the instruction by which the core waits for an interrupt, if ``code`` ends with one."""
        ...

    def backtrace(self, standing: Standing, pc: int) -> list[Frame]:
        """Return the frames of a core that has stopped at ``pc``, innermost first."""
        ...

    def peak(self, standing: Standing, lowered_at: int) -> tuple[int, list[Frame]]:
        """Return the stack's bytes when SP is lowest, and the frames, whose sizes add up to it where all are known.

        ``lowered_at`` is the instruction that has brought SP there.
        """
        ...
