"""One run in Unicorn: the engine from reset on, and its probes."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import starmap
from typing import TYPE_CHECKING

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
from emu.machines.unicorn.stacks import Stacks, stack_peak
from emu.machines.unicorn.stopped import Stopped
from emu.native.unicorn.hooks import NativeHooks
from emu.probes.callers import Capture
from emu.probes.heap import HeapLedger
from emu.probes.stack import StackPaint
from emu.record import Fault, Frame

if TYPE_CHECKING:  # the memory checker imports large libraries, and most runs do not use it
    from emu.machines.unicorn.memory_errors import MemoryErrors
    from emu.machines.unicorn.moved_blocks import MovedBlocks
    from emu.native.unicorn.shadow import NativeShadow

PREFETCH_ABORT = 3
"""The number of the core's prefetch abort."""
DATA_ACCESSES: dict[int, Access] = {
    UC_MEM_READ_UNMAPPED: "read",
    UC_MEM_READ_PROT: "read",
    UC_MEM_WRITE_UNMAPPED: "write",
    UC_MEM_WRITE_PROT: "write",
}
"""Accesses by Unicorn's type of a failed access; all other types are fetches."""

_SP = 13
_THUMB_STATE = 1 << 5


@dataclass
class Run:
    """The state of one boot: the engine, and its events so far."""

    firmware: Firmware
    core: CortexM
    engine: Uc
    hooks: NativeHooks
    stacks: Stacks | None
    paint: StackPaint | None
    output: Output
    semihosting: Semihosting
    ledger: HeapLedger
    shadow: NativeShadow | None
    memory_errors: MemoryErrors | None
    moved_blocks: MovedBlocks | None
    """The blocks of the firmware's allocator."""
    faults: list[Fault] = field(default_factory=list)
    waiting: bool = False
    """Whether the firmware waits at ``emu_yield``."""
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
        """Whether the core is in Thumb state: it has no other instructions."""
        return bool(self.engine.reg_read(UC_ARM_REG_CPSR) & _THUMB_STATE)

    @property
    def pc(self) -> int:
        """The address of the next instruction."""
        return self.stopped.register("pc")

    @property
    def stopped(self) -> Stopped:
        """The core of the stopped engine."""
        return Stopped(self.engine)

    @property
    def task(self) -> str | None:
        """The task that runs, or that a handler has interrupted; None if it is the first stack's."""
        return self.stacks.found.task(self.hooks.thread) if self.stacks is not None else None

    def peek(self, address: int, size: int) -> bytes:
        """Return memory, or nothing if there is none."""
        return self.stopped.read(address, size)

    def backtrace(self, pc: int) -> list[Frame]:
        """Return the frames; ``pc`` is the current instruction, or the instruction that has jumped away."""
        registers = self.core.at(self.core.registers(self.stopped), pc)
        registers[_SP] -= self._popped(pc)
        stack = self.stacks.current if self.stacks is not None else None
        top = stack.top if stack is not None else self.firmware.initial_sp
        return self.core.backtrace(registers, self.peek, top)

    def _popped(self, pc: int) -> int:
        """Return by how much a return at ``pc`` to an address without code raised SP."""
        delta = self.core.code.delta_at(pc)
        return delta if self.pc != pc and delta != DYNAMIC else 0

    def follow_heap(self) -> None:
        """Replay the allocator's calls since the last time."""
        self.ledger.add(self.hooks.take_heap_events(), starmap(Capture, self.hooks.take_callers()))
        machine = self.hooks.take_meeting()
        if machine is not None:
            floor, top = self.firmware.stack_region.start, self.firmware.initial_sp
            backtrace = self.core.peak_backtrace(stack_peak(machine, floor, top), top)
            self.ledger.meet(machine.registers[_SP], machine.lowest, backtrace, self.hooks.heap_end)

    def take_events(self) -> None:
        """Handle the events so far, before the next one."""
        self.follow_heap()
        if self.memory_errors is not None:
            self.memory_errors.take()

    def close(self) -> None:
        """Release the counters."""
        self.hooks.close()
        if self.shadow is not None:
            self.shadow.close()
