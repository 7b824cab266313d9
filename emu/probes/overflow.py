"""Stack overflow: an access that fails because SP is below the stack of the code that makes it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from emu.architectures.core import Core, Memory
from emu.firmware import Firmware
from emu.probes.main_stack import main_stack_name
from emu.record import Fault, Frame, StackUse

OVERFLOW = "stack_overflow"
_ACCESSES = ("unmapped_read", "unmapped_write", "write_to_read_only")


@dataclass(frozen=True)
class Overflow:
    """A stack that SP has left at its lower end."""

    name: str
    top: int
    limit: int
    lowest: int
    """The lowest SP."""
    backtrace: list[Frame]
    is_first: bool
    """Whether the firmware starts on the stack."""
    on_process_stack: bool = False
    """Whether PSP pointed to the stack."""

    def use(self, core: Core) -> StackUse:
        """Return the use of the stack; its peak is above its limit."""
        return StackUse(
            name=self.name,
            pointer="PSP" if self.on_process_stack else core.stack_pointer,
            top=self.top,
            limit_bytes=self.top - self.limit,
            peak_bytes=self.top - self.lowest + core.below_sp,
            backtrace=self.backtrace,
        )

    def detail(self, core: Core) -> str:
        """Return a sentence for the fault."""
        whose, below = "the stack" if self.is_first else self.name, core.below_sp
        reserve = f", as the {below} bytes below SP are the stack's" if below else ""
        missing = self.limit - self.lowest + below
        return f"SP goes to {self.lowest:#010x}, {missing} bytes below the limit {self.limit:#010x} of {whose}{reserve}"


def find_overflow(firmware: Firmware, core: Core, kind: str, registers: Sequence[int], read: Memory) -> Overflow | None:
    """Return the overflow that made an access fail, or None if the access failed for another reason.

    ``kind`` is the failed access, ``registers`` are those before its instruction. SP has to be out of the RAM. On its
    way there it may have crossed other variables, so the outermost frame at the top of a stack tells which stack it is.
    """
    sp, lowest = core.stack_pointers(registers)
    if kind not in _ACCESSES or firmware.board.has_ram_at(lowest - core.below_sp):
        return None
    frames = core.backtrace(registers, read, firmware.initial_sp)
    stacks = [_stack_at(firmware, core, end) for end in _ends(sp - core.below_sp, frames)]
    name, top, limit, is_first = next(filter(None, reversed(stacks)), None) or ("", 0, 0, False)
    return Overflow(name, top, limit, lowest, frames, is_first) if lowest - core.below_sp < limit else None


def first_stack_overflow(firmware: Firmware, core: Core, lowest: int, backtrace: list[Frame]) -> Overflow | None:
    """Return the overflow of the stack that the firmware starts on; None if that stack holds ``lowest``, an SP."""
    top, limit = firmware.initial_sp, firmware.stack_limit
    if limit is None or lowest - core.below_sp >= limit:
        return None
    nearest = min((region for region in firmware.board.ram if lowest < region.end), key=lambda region: region.start)
    if nearest != firmware.stack_region:  # SP has fallen out of another memory
        return None
    return Overflow(main_stack_name(firmware, core.stack_pointer), top, limit, lowest, backtrace, is_first=True)


def overflow_fault(firmware: Firmware, core: Core, overflow: Overflow, task: str | None = None) -> Fault:
    """Return the fault of ``overflow`` in ``task``, in the innermost function of its backtrace."""
    pc = overflow.backtrace[0].pc if overflow.backtrace else None
    place = {} if pc is None else firmware.locate(pc).model_dump()
    detail, address = overflow.detail(core), overflow.lowest
    backtrace = overflow.backtrace
    return Fault(**place, kind=OVERFLOW, address=address, pc=pc, detail=detail, backtrace=backtrace, task=task)


def _ends(start: int, frames: list[Frame]) -> Iterator[int]:
    """Yield the addresses after ``start`` at which frames end, as far as their sizes are known."""
    end = start
    for frame in frames:
        if frame.frame_bytes is None:
            return
        for _ in range(frame.times):
            end += frame.frame_bytes
            yield end


def _stack_at(firmware: Firmware, core: Core, end: int) -> tuple[str, int, int, bool] | None:
    """Return name, top and limit of the stack with a frame that ends at ``end``, and whether it is the first one."""
    limit, top = firmware.stack_limit, firmware.initial_sp
    if limit is not None and limit < end <= top:
        return main_stack_name(firmware, core.stack_pointer), top, limit, True
    array = firmware.stack_array(end)
    return None if array is None else (array.readable, max(end, array.end & ~7), array.address, False)
