"""Machines run firmware. Each emulator has a folder; all have the methods of ``Machine``."""

from dataclasses import dataclass, field
from types import TracebackType
from typing import Literal, Protocol, Self

from emu.errors import EmuError
from emu.instruments import Limits as Limits
from emu.record import Coverage, Fault, Heap, Instructions, MemoryCheck, Profile, Stack, Timeline


class LostError(EmuError):
    """What ran the firmware is gone, and the firmware's memory with it; ``Machine.measure`` has the fault."""


@dataclass(frozen=True)
class Stop:
    """Why a machine stopped."""

    reason: Literal["yield", "exit", "fault"]
    instructions: int | None
    """Instructions retired since the call of ``boot`` or ``resume``; None if the machine does not count."""
    fault: Fault | None = None
    exit_status: int | None = None
    """The status that the firmware gave to its exit function or its debugger; None if it ended otherwise."""


@dataclass(frozen=True)
class Measurements:
    """The figures since ``boot``; a figure that was not measured is None, and ``not_measured`` has the reason."""

    stack_peak_bytes: int | None = None
    stack_touched_bytes: int | None = None
    stack_limit_bytes: int | None = None
    stack: Stack = field(default_factory=Stack)
    stack_bytes_by_region: dict[str, int] | None = None
    """Peaks of the stacks by memory, without stacks in static RAM or the heap; None if there were too many stacks to
    follow."""
    heap_region: str | None = None
    """The heap's memory; None if the heap is in no memory, or in several."""
    heap: Heap = field(default_factory=lambda: Heap(attached=False))
    timeline: Timeline | None = None
    instructions: Instructions = field(default_factory=Instructions)
    profile: Profile | None = None
    coverage: Coverage | None = None
    memory_check: MemoryCheck | None = None
    failures: tuple[Exception, ...] = ()
    """Errors in emu that cost some of the figures; ``not_measured`` names them."""
    faults: tuple[Fault, ...] = ()
    output: str = ""
    output_cut_bytes: int = 0
    not_measured: dict[str, str] = field(default_factory=dict)
    not_modelled: tuple[str, ...] = ()
    """Accesses to registers that the emulator has no model for and let pass, with their numbers."""
    changed: tuple[str, ...] = ()
    """What the emulator ran otherwise than the ELF has it, each with the reason."""


class Machine(Protocol):
    """Runs one firmware. A machine is a context manager; after ``close`` no process and no file of it is left."""

    def boot(self) -> Stop:
        """Reset, and run until the firmware first reaches ``emu_yield``, or ends."""
        ...

    def resume(self) -> Stop:
        """Let ``emu_yield`` return, and run until the firmware reaches it again, or ends."""
        ...

    def read(self, address: int, size: int) -> bytes:
        """Return ``size`` bytes of the firmware's memory; raises ValueError if there is none, and LostError."""
        ...

    def read_output(self, address: int, size: int) -> bytes:
        """Return memory as ``read`` does; a memory checker reports uninitialised bytes in it."""
        return self.read(address, size)

    def write(self, address: int, data: bytes) -> None:
        """Replace memory from ``address`` on; raises ValueError if there is none."""
        ...

    def measure(self) -> Measurements:
        """Return what was measured since ``boot``."""
        ...

    def close(self) -> None:
        """Release what the machine holds; calling it again does nothing."""
        ...

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()
