"""Call stacks: frames and their sizes, from the registers and the stack's bytes at one moment.

A frame is unwound with ``.debug_frame``. If the code has no entry there (assembly), its instructions since the start of
the function tell how SP changed. If neither way works, the walk ends with a frame of unknown size.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from elftools.common.exceptions import DWARFError
from elftools.dwarf.callframe import FDE

from emu.architectures.armv7em.thumb import DYNAMIC, StackEffect, stack_effects
from emu.firmware import Firmware, Function
from emu.record import Frame

_SP, _LR, _PC = 13, 14, 15
_NAMES = {**{f"r{i}": i for i in range(13)}, "sb": 9, "sl": 10, "fp": 11, "ip": 12, "lr": _LR}
_BX_LR = b"\x70\x47"
_HIGHEST = 1 << 32
_DEEPEST = 10_000
"""The most frames of a walk, which ends a walk through a broken stack."""

Memory = Callable[[int, int], bytes]
"""Takes an address and a size, and returns that many bytes; fewer if there is no memory."""


@dataclass(frozen=True)
class _Call:
    """The machine when a function was called."""

    sp: int
    registers: list[int] | None
    """r0 to r15 when the function returns; None if it never returns."""


def unwind(
    firmware: Firmware, registers: Sequence[int], read: Memory, lowest: int, at: int, top: int = _HIGHEST
) -> list[Frame]:
    """Return the frames, innermost first.

    ``registers`` are r0 to r15 of the innermost function. The frame of that function extends down to ``lowest``, the
    lowest SP, set by the instruction ``at``. The stack begins at ``top``; frames beyond it belong to another stack. If
    every frame is known, the sizes add up to ``top`` - ``lowest``.
    """
    frames: list[Frame] = []
    state, pc, below = list(registers), registers[_PC], lowest
    while len(frames) < _DEEPEST:
        shown = pc if frames else at
        call = _call_of(firmware, state, read, pc, innermost=not frames)
        known = call is not None and below <= call.sp <= top
        size = call.sp - below if call is not None and known else None
        frames.append(Frame(**firmware.locate(shown).model_dump(), pc=shown, frame_bytes=size))
        if call is None or not known or call.registers is None or not _is_code(firmware, call.registers[_PC]):
            break
        if call.sp == top != firmware.initial_sp:
            break
        state, below = call.registers, call.sp
        pc = state[_PC] - 2  # inside the call, as the return address may belong to another line or function
    return frames


def _is_code(firmware: Firmware, address: int) -> bool:
    region = firmware.board.region_at(address)
    return region is not None and region.executable


def _call_of(firmware: Firmware, state: list[int], read: Memory, pc: int, innermost: bool) -> _Call | None:
    function = firmware.function_at(pc)
    entry = firmware.unwind_entry(pc)
    found = _by_unwind_information(entry, state, pc) if entry is not None else None
    if function is not None and (entry is None or _tells_nothing(entry)):
        found = _by_instructions(firmware, function, state, pc) or found
    if found is None:
        return None

    sp, saved = found
    caller = list(state)
    caller[_SP] = sp
    for register, address in saved.items():
        stored = read(address, 4)
        if len(stored) < 4:
            return None
        caller[register] = int.from_bytes(stored, "little")
    if function is not None and function.start == firmware.reset_pc:
        return _Call(sp, None)
    if not innermost and _LR not in saved:
        return _Call(sp, None)  # the function made a call and saved no return address
    caller[_PC] = caller[_LR] & ~1
    return _Call(sp, caller)


def _tells_nothing(entry: FDE) -> bool:
    """Return whether the entry has one row only: no frame, or assembly that the entry does not describe."""
    try:
        return len(entry.get_decoded().table) <= 1
    except (DWARFError, LookupError, ValueError):
        return True


def _by_unwind_information(entry: FDE, state: list[int], pc: int) -> tuple[int, dict[int, int]] | None:
    """Return SP at the call, and the address of each saved register."""
    try:
        row = [row for row in entry.get_decoded().table if row["pc"] <= pc][-1]
    except (DWARFError, LookupError, ValueError):
        return None
    rule = row["cfa"]
    if rule.reg is None:
        return None
    sp = (state[rule.reg] + rule.offset) & 0xFFFFFFFF
    rules = {register: rule for register, rule in row.items() if isinstance(register, int) and register < _PC}
    return sp, {register: sp + rule.arg for register, rule in rules.items() if rule.type == "OFFSET"}


def _by_instructions(
    firmware: Firmware, function: Function, state: list[int], pc: int
) -> tuple[int, dict[int, int]] | None:
    """Return SP at the call and the saved registers, from the pushes and pops between the start and ``pc``."""
    depth = before_epilogue = 0
    depth_of: dict[int, int] = {}  # for each saved register, its distance below SP at the call
    previous: StackEffect | None = None
    saved_before_epilogue = dict(depth_of)
    for effect in stack_effects(firmware.bytes_at(function.start, pc - function.start), function.start):
        if effect.delta == DYNAMIC:
            return None
        if effect.delta > 0 and not (
            previous is not None and previous.delta > 0 and previous.following == effect.address
        ):
            before_epilogue, saved_before_epilogue = depth, dict(depth_of)
        depth -= effect.delta
        depth_of = {register: at for register, at in depth_of.items() if at <= depth}
        for index, name in enumerate(effect.saved_registers):
            if name in _NAMES:
                depth_of[_NAMES[name]] = depth - 4 * index
        returns = effect.delta > 0 and ("pc" in effect.operands or firmware.bytes_at(effect.following, 2) == _BX_LR)
        if returns and effect.following < pc:  # the next instruction is reached from code before the epilogue
            depth, depth_of = before_epilogue, saved_before_epilogue
        previous = effect
    sp = state[_SP] + depth
    return sp, {register: sp - at for register, at in depth_of.items()}
