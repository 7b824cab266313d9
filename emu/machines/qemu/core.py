"""What of a core is QEMU's own: how QEMU is started with it, and how its stub shows the registers."""

from dataclasses import dataclass
from typing import ClassVar, Protocol

from emu.architectures.core import Core, Memory, StoppedCore
from emu.machines.gdb_remote import GdbRemote
from emu.native.qemu import Shared


@dataclass(frozen=True)
class Standing:
    """A stopped QEMU: its stub, the plugin's counters and the board's memory."""

    gdb: GdbRemote
    shared: Shared
    read: Memory


class QemuCore(Protocol):
    """A core in one QEMU, with its firmware."""

    command: ClassVar[str]
    """QEMU's command that emulates the core."""
    package: ClassVar[str]
    """The Debian package of the command."""
    endings: ClassVar[dict[str, str]]
    """Last words of QEMU that the firmware has caused, and their meaning."""

    @property
    def core(self) -> Core:
        """The core as its architecture sees it."""
        ...

    def arguments(self) -> list[str]:
        """Return QEMU's arguments for the machine and the start."""
        ...

    def sp_changes(self) -> bytes:
        """Return a bit for each halfword of executable memory: whether an instruction there changes SP."""
        ...

    def stops(self, read: Memory) -> frozenset[int]:
        """Return the addresses at which the core may be in a fault; the plugin may stop at further ones.

        ``read`` returns memory as it is after reset.
        """
        ...

    def stopped(self, qemu: Standing) -> StoppedCore:
        """Return the core as it stands now."""
        ...

    def go_on_at(self, pc: int, qemu: Standing) -> None:
        """Give the core another pc."""
        ...
