"""Call stacks of the windowed ABI, from the register windows and from older windows in stack memory.

A call by ``CALLn`` rotates the window by n registers, and keeps n / 4 in the two highest bits of the return address.
While their bit in WINDOWSTART is set, the caller's registers are in the register file. Otherwise a0 to a3 are in the
base save area: 16 bytes below the called function's SP (Xtensa Instruction Set Architecture, 4.7.1.5 and 8.1).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from emu.architectures.xtensa.instructions import is_entry
from emu.firmware import Firmware
from emu.record import Frame

BASE_SAVE_BYTES = 16
"""Bytes below each SP for the caller's registers. They belong to the stack even if nothing was spilled."""

_RETURN_ADDRESS = 0x3FFF_FFFF
_PS_OWB_SHIFT, _PS_CALLINC_SHIFT = 8, 16
_WINDOW_VECTORS_BYTES = 0x180
_DEEPEST = 100_000
"""The most frames of a walk, which ends a walk through a broken stack."""

Memory = Callable[[int, int], bytes]
"""Takes an address and a size, and returns that many bytes; fewer if there is no memory."""


@dataclass(frozen=True)
class Windows:
    """The address registers, and which of them are in use."""

    file: Sequence[int]
    """All address registers."""
    base: int
    """WINDOWBASE: the running function's first register, in fours."""
    start: int
    """WINDOWSTART: a bit for each four registers with which a function's window begins."""
    call_increment: int
    """PS.CALLINC: how many fours the last call will rotate the window."""
    turned: int = 0
    """How many fours the window was rotated back; a whole turn leads to the newest function again."""

    def register(self, number: int) -> int:
        """Return the running function's register."""
        return self.file[(4 * self.base + number) % len(self.file)]

    def rotated_back(self, fours: int) -> "Windows | None":
        """Return the window of a caller by CALL4, 8 or 12 (``fours`` 1, 2, 3); None if the window was spilled."""
        windows, turned = len(self.file) // 4, self.turned + fours
        base = (self.base - fours) % windows
        kept = turned < windows and self.start >> base & 1
        return Windows(self.file, base, self.start, 0, turned) if kept else None


@dataclass(frozen=True)
class _Caller:
    pc: int
    sp: int
    return_address: int
    """The caller's own return address; 0 if the caller has none."""
    windows: Windows | None
    """The caller's registers; None if they were spilled. Older windows were spilled before them."""


def unwind(firmware: Firmware, pc: int, windows: Windows, read: Memory, shown: int | None = None) -> list[Frame]:
    """Return the frames, innermost first; the innermost one has its base save area too.

    If given, ``shown`` is an earlier address in the innermost function, reported instead of ``pc``. If every frame is
    known, the sizes add up to the bytes from the stack's beginning to the lowest byte of that area.
    """
    top = firmware.initial_sp
    frames: list[Frame] = []
    sp, return_address, at = windows.register(1), windows.register(0), pc if shown is None else shown
    below = sp - BASE_SAVE_BYTES
    rest: Windows | None = windows
    if is_entry(read(pc, 3)):  # before ENTRY a called function still has its caller's window
        frames.append(Frame(**firmware.locate(pc).model_dump(), pc=pc, frame_bytes=0))
        at = _call_before(windows.register(4 * windows.call_increment), pc)
    while len(frames) < _DEEPEST:
        function = firmware.function_at(at)
        place = firmware.locate(at).model_dump()
        if function is None or not is_entry(read(function.start, 3)):
            first = function is not None and function.start == firmware.reset_pc and below <= top
            frames.append(Frame(**place, pc=at, frame_bytes=top - below if first else None))
            break
        caller = _caller_of(sp, return_address, at, rest, read)
        known = caller is not None and sp <= caller.sp and _may_be_stack(firmware, caller.sp)
        frames.append(Frame(**place, pc=at, frame_bytes=caller.sp - below if caller is not None and known else None))
        if caller is None or not known:
            break
        sp, return_address, at, rest = caller.sp, caller.return_address, caller.pc, caller.windows
        below = sp
    return frames


def _may_be_stack(firmware: Firmware, sp: int) -> bool:
    """Return whether ``sp`` may belong to the first stack, or to a stack in a variable."""
    return sp <= firmware.initial_sp or firmware.variable_at(sp - 1) is not None


def _caller_of(sp: int, return_address: int, pc: int, windows: Windows | None, read: Memory) -> _Caller | None:
    fours = return_address >> 30
    if fours == 0:
        return None
    at = _call_before(return_address, pc)
    older = windows.rotated_back(fours) if windows is not None else None
    if older is not None:
        return _Caller(at, older.register(1), older.register(0), older)
    spilled = read(sp - BASE_SAVE_BYTES, 8)
    if len(spilled) < 8:
        return None
    return _Caller(at, int.from_bytes(spilled[4:], "little"), int.from_bytes(spilled[:4], "little"), None)


def is_in_window_vectors(pc: int, vector_base: int) -> bool:
    """Return whether ``pc`` is in the window handlers, at the beginning of the vectors."""
    return 0 <= pc - vector_base < _WINDOW_VECTORS_BYTES


def returns_to(return_address: int, pc: int) -> int:
    """Return where a function with ``return_address`` in a0 returns: the two highest bits come from ``pc``."""
    return return_address & _RETURN_ADDRESS | pc & ~_RETURN_ADDRESS


def before_entry(number: int, ps: int) -> int:
    """Return the number of a function's register ``number`` in its caller's window, before ENTRY."""
    return number + 4 * call_increment(ps)


def old_base(ps: int) -> int:
    """Return PS.OWB: WINDOWBASE before an overflow or underflow exception of the windows."""
    return ps >> _PS_OWB_SHIFT & 0xF


def call_increment(ps: int) -> int:
    """Return PS.CALLINC: how many fours the last call will rotate the window."""
    return ps >> _PS_CALLINC_SHIFT & 3


def _call_before(return_address: int, pc: int) -> int:
    """Return the address of the call that returns to ``return_address``; a call has three bytes."""
    return returns_to(return_address, pc) - 3
