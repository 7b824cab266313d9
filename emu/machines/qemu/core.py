"""What of a core is QEMU's own: how QEMU is started with it, and how its stub shows the registers."""

from dataclasses import dataclass
from typing import ClassVar, Protocol

from emu.architectures.core import Core, Memory, StoppedCore
from emu.machines.gdb_remote import GdbRemote
from emu.native.qemu import Shared


@dataclass(frozen=True)
class Standing:
    """QEMU while it stands, and what can be done with it then."""

    gdb: GdbRemote
    shared: Shared
    read: Memory


class QemuCore(Protocol):
    """A core in one QEMU, with its firmware."""

    command: ClassVar[str]
    """QEMU's command that emulates it."""
    package: ClassVar[str]
    """The Debian package of the command."""
    endings: ClassVar[dict[str, str]]
    """What QEMU says on its end that is the firmware's doing, and what that means."""

    @property
    def core(self) -> Core:
        """What the architecture makes of it."""
        ...

    def arguments(self) -> list[str]:
        """Return the arguments of QEMU that choose the machine and where it starts."""
        ...

    def sp_changes(self) -> bytes:
        """Return what the plugin has to know of the code, a bit for each halfword of executable memory."""
        ...

    def stops(self, read: Memory) -> frozenset[int]:
        """Return where to stop because the core may have a fault; the plugin may stop it elsewhere for one, too.

        ``read`` returns memory as after reset.
        """
        ...

    def stopped(self, qemu: Standing) -> StoppedCore:
        """Return the core as it stands now."""
        ...

    def go_on_at(self, pc: int, qemu: Standing) -> None:
        """Give the core another pc."""
        ...
