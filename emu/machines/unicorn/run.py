"""One run in Unicorn: the engine from reset on, and everything that watches it."""

from dataclasses import dataclass, field
from itertools import starmap

from unicorn.arm_const import UC_ARM_REG_CPSR
from unicorn.unicorn import Uc
from unicorn.unicorn_const import (
    UC_MEM_READ_PROT,
    UC_MEM_READ_UNMAPPED,
    UC_MEM_WRITE_PROT,
    UC_MEM_WRITE_UNMAPPED,
)

from emu.architectures.access import Access
from emu.architectures.armv7em.core import CortexM
from emu.architectures.armv7em.thumb import DYNAMIC
from emu.firmware import Firmware
from emu.machines.output import Output
from emu.machines.semihosting import Semihosting
from emu.machines.unicorn.memory_errors import MemoryErrors
from emu.machines.unicorn.peripherals import Peripherals
from emu.machines.unicorn.replaced_allocator import ReplacedAllocator
from emu.machines.unicorn.stacks import Stacks, stack_peak
from emu.machines.unicorn.stopped import Stopped
from emu.native.unicorn.hooks import NativeHooks
from emu.native.unicorn.shadow import NativeShadow
from emu.probes.callers import Capture
from emu.probes.heap import HeapLedger
from emu.probes.stack import StackPaint
from emu.record import Fault, Frame

PREFETCH_ABORT = 3
"""The number of the core's exception."""
DATA_ACCESSES: dict[int, Access] = {
    UC_MEM_READ_UNMAPPED: "read",
    UC_MEM_READ_PROT: "read",
    UC_MEM_WRITE_UNMAPPED: "write",
    UC_MEM_WRITE_PROT: "write",
}
"""By Unicorn's type of an access that failed; the others are fetches."""

_SP = 13
_THUMB_STATE = 1 << 5


@dataclass
class Run:
    """What one boot made: the engine, and what has been seen of it since."""

    firmware: Firmware
    core: CortexM
    engine: Uc
    hooks: NativeHooks
    stacks: Stacks | None
    paint: StackPaint | None
    output: Output
    peripherals: Peripherals
    semihosting: Semihosting
    ledger: HeapLedger
    shadow: NativeShadow | None
    memory_errors: MemoryErrors | None
    allocator: ReplacedAllocator | None
    """In place of the firmware's own."""
    faults: list[Fault] = field(default_factory=list)
    waiting: bool = False
    """Whether the firmware stands at ``emu_yield``."""
    exit_status: int | None = None
    """Set when the firmware has ended."""
    executable_pages: set[int] = field(default_factory=set)
    """Pages of RAM that code has run from."""

    @property
    def fetch_failed(self) -> bool:
        """Whether the engine stopped because it could not fetch the next instruction."""
        access = self.hooks.access
        return self.hooks.exception == PREFETCH_ABORT or (access is not None and access[0] not in DATA_ACCESSES)

    @property
    def in_thumb_state(self) -> bool:
        """Whether the core can execute what it stands at: it has no other instructions."""
        return bool(self.engine.reg_read(UC_ARM_REG_CPSR) & _THUMB_STATE)

    @property
    def pc(self) -> int:
        """Where the engine stands."""
        return self.stopped.register("pc")

    @property
    def stopped(self) -> Stopped:
        """The core, while the engine stands."""
        return Stopped(self.engine)

    def peek(self, address: int, size: int) -> bytes:
        """Return memory, or nothing where there is none."""
        return self.stopped.read(address, size)

    def backtrace(self, pc: int) -> list[Frame]:
        """Return the frames on the stack, where ``pc`` is the instruction that runs, or has jumped away."""
        registers = self.core.at(self.core.registers(self.stopped), pc)
        registers[_SP] -= self._popped(pc)
        stack = self.stacks.current if self.stacks is not None else None
        top = stack.top if stack is not None else self.firmware.initial_sp
        return self.core.backtrace(registers, self.peek, top)

    def _popped(self, pc: int) -> int:
        """Return by how much the instruction at ``pc`` raised SP, where it has run: a return to where no code is."""
        delta = self.core.code.delta_at(pc)
        return delta if self.pc != pc and delta != DYNAMIC else 0

    def follow_heap(self) -> None:
        """Take what the allocator was called for since the last time into account."""
        self.ledger.add(self.hooks.take_heap_events(), starmap(Capture, self.hooks.take_callers()))
        machine = self.hooks.take_meeting()
        if machine is not None:
            floor, top = self.firmware.stack_region.start, self.firmware.initial_sp
            backtrace = self.core.peak_backtrace(stack_peak(machine, floor, top), top)
            self.ledger.meet(machine.registers[_SP], machine.lowest, backtrace, self.hooks.heap_end)

    def take_events(self) -> None:
        """Empty the lists of what happened, before the next thing does."""
        self.follow_heap()
        if self.memory_errors is not None:
            self.memory_errors.take()

    def close(self) -> None:
        """Release the counters."""
        self.hooks.close()
        if self.shadow is not None:
            self.shadow.close()
