"""Machines run firmware. Each emulator has a folder; all have the methods of ``Machine``."""

from dataclasses import dataclass, field
from types import TracebackType
from typing import Literal, Protocol, Self

from emu.instruments import Limits as Limits
from emu.record import Coverage, Fault, Heap, Instructions, MemoryCheck, Profile, Stack, Timeline


@dataclass(frozen=True)
class Stop:
    """Why a machine stopped."""

    reason: Literal["yield", "exit", "fault"]
    instructions: int | None
    """Retired since ``boot`` or ``resume`` was called; None where the machine does not count."""
    fault: Fault | None = None
    exit_status: int | None = None
    """What the firmware's exit function, or its debugger, was given, where it ended that way."""


@dataclass(frozen=True)
class Measurements:
    """What was measured since ``boot``; a figure that was not is None, with the reason in ``not_measured``."""

    stack_peak_bytes: int | None = None
    stack_touched_bytes: int | None = None
    stack_limit_bytes: int | None = None
    stack: Stack = field(default_factory=Stack)
    stack_bytes_by_region: dict[str, int] | None = None
    """Peaks of the stacks, by the memory that they are in, without those that are static RAM or heap; None where there
    were too many stacks to follow."""
    heap_region: str | None = None
    """The memory that the heap is in; None where it is in none, or in several."""
    heap: Heap = field(default_factory=lambda: Heap(attached=False))
    timeline: Timeline | None = None
    instructions: Instructions = field(default_factory=Instructions)
    profile: Profile | None = None
    coverage: Coverage | None = None
    memory_check: MemoryCheck | None = None
    faults: tuple[Fault, ...] = ()
    output: str = ""
    output_cut_bytes: int = 0
    not_measured: dict[str, str] = field(default_factory=dict)


class Machine(Protocol):
    """Runs one firmware. It is a context manager; nothing is left behind when it ends."""

    def boot(self) -> Stop:
        """Reset, and run to the first arrival at ``emu_yield``, or to the end."""
        ...

    def resume(self) -> Stop:
        """Go on as if ``emu_yield`` had returned, to the next arrival or to the end."""
        ...

    def read(self, address: int, size: int) -> bytes:
        """Return ``size`` bytes of the firmware's memory; raises ValueError where there is none."""
        ...

    def read_output(self, address: int, size: int) -> bytes:
        """Return the same; a memory checker looks at whether all of it was ever set."""
        return self.read(address, size)

    def write(self, address: int, data: bytes) -> None:
        """Replace memory from ``address`` on; raises ValueError where there is none."""
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
