"""QEMU's own part of a core: how QEMU starts with the core, and how QEMU's stub shows the registers."""

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
    """A core with its firmware in one QEMU."""

    command: ClassVar[str]
    """QEMU's command that emulates the core."""
    package: ClassVar[str]
    """The Debian package of the command."""
    endings: ClassVar[dict[str, str]]
    """QEMU's last messages that the firmware caused, and their meaning."""

    @property
    def core(self) -> Core:
        """The core as its architecture sees it."""
        ...

    def arguments(self) -> list[str]:
        """Return QEMU's arguments for the machine and the start address."""
        ...

    def sp_changes(self) -> bytes:
        """Return a bit for each halfword of executable memory: whether an instruction there changes SP."""
        ...

    def stack_changes(self) -> bytes | None:
        """Return a bit for each halfword of executable memory: whether SP may be on another stack before it.

        None if the plugin cannot follow SP from stack to stack.
        """
        ...

    def stops(self, read: Memory) -> frozenset[int]:
        """Return the addresses at which the core may be in a fault; the plugin may stop at others.

        ``read`` returns memory as it is after reset.
        """
        ...

    def stopped(self, qemu: Standing) -> StoppedCore:
        """Return the stopped core."""
        ...

    def may_be_interrupted(self, qemu: Standing) -> bool:
        """Return whether an interrupt is pending, or a timer may pend one, so that a core that waits may go on."""
        ...

    def go_on_at(self, pc: int, qemu: Standing) -> None:
        """Give the core another pc."""
        ...
