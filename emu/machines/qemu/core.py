"""What differs between the processors that QEMU emulates, as the machine sees it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, Protocol

from emu.firmware import Firmware
from emu.machines.gdb_remote import GdbRemote
from emu.native.qemu import Lowest, Shared
from emu.record import Frame

Memory = Callable[[int, int], bytes]
"""Returns so many bytes from an address; nothing where there is no memory."""


@dataclass(frozen=True)
class Standing:
    """QEMU while it stands, and what can be done with it then."""

    gdb: GdbRemote
    shared: Shared
    read: Memory


@dataclass(frozen=True)
class CoreFault:
    """An exception that means a fault, before its handler's first instruction."""

    kind: str
    detail: str
    address: int | None
    """What it is about, where it is about a place in memory."""
    registers: Sequence[int] | None
    """As the instruction found them, in the core's own order; None where they are lost."""
    pc: int | None
    """The instruction that has not retired; None where it is lost."""
    is_jump: bool
    """Whether no instruction could be fetched at ``pc``."""


class Core(Protocol):
    """The processor in one QEMU, with its firmware."""

    command: ClassVar[str]
    """QEMU's command that emulates it."""
    package: ClassVar[str]
    """The Debian package of the command."""
    stack_pointer: ClassVar[Literal["MSP", "a1"]]
    """What the register is called that the stack is known by."""
    endings: ClassVar[dict[str, str]]
    """What QEMU says on its end that is the firmware's doing, and what that means."""

    below_sp: ClassVar[int]
    """Bytes of the stack that lie below SP."""

    def arguments(self) -> list[str]:
        """Return the arguments of QEMU that choose the machine and where it starts."""
        ...

    def sp_changes(self) -> bytes:
        """Return what the plugin has to know of the code, a bit for each halfword of executable memory."""
        ...

    def at_reset(self, qemu: Standing) -> dict[str, tuple[object, object]]:
        """Return, of what has to be so at reset, what is and what has to be."""
        ...

    def handlers(self, qemu: Standing) -> frozenset[int]:
        """Return where to stop because the core may have a fault; the plugin may stop it elsewhere for one, too."""
        ...

    def pc(self, qemu: Standing) -> int:
        """Return the address of the next instruction."""
        ...

    def return_from_function(self, qemu: Standing) -> None:
        """Go on, from the first instruction of a function, as if it had returned."""
        ...

    def first_argument(self, qemu: Standing) -> int:
        """Return the first argument of the function whose first instruction is the next."""
        ...

    def fault(self, qemu: Standing, *, at_handler: bool) -> CoreFault | None:
        """Return the fault that the core is in; None where it is in none, or where the firmware goes on by itself."""
        ...

    def registers(self, qemu: Standing) -> Sequence[int]:
        """Return the registers of a core that has been stopped, in its own order."""
        ...

    def waits(self, qemu: Standing) -> tuple[str, int] | None:
        """Return the instruction by which the core waits for an interrupt, and its address; None where it does not."""
        ...

    def pc_of(self, registers: Sequence[int]) -> int:
        """Return the pc that is among ``registers``."""
        ...

    def at(self, registers: Sequence[int], pc: int) -> Sequence[int]:
        """Return ``registers`` with another pc."""
        ...

    def backtrace(self, registers: Sequence[int], read: Memory) -> list[Frame]:
        """Return the frames that ``registers`` and the stack lead to, innermost first."""
        ...

    def peak(self, lowest: Lowest) -> tuple[int, list[Frame]]:
        """Return the stack's bytes when SP was lowest, and the frames, whose sizes add up to it where all are known."""
        ...

    def callers(self, firmware: Firmware, registers: Sequence[int], read: Memory) -> list[Frame]:
        """Return the frames of a function that has just been called, innermost first; ``read`` knows the stack only."""
        ...

    def sets_sp_anew(self, address: int) -> bool:
        """Return whether the instruction at ``address`` gives SP a value that is not reckoned from SP."""
        ...
