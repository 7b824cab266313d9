"""Call stacks: frames and their sizes, from the registers and the stack's bytes at one moment.

A frame is unwound with ``.debug_frame``. If the code has no entry there (assembly), its instructions since the start of
the function tell how SP changed. If neither way works, the walk ends with a frame of unknown size. From a handler the
walk goes on to the code that the exception interrupted. The last frame says why the walk ends if it ends too early.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from emu.architectures.armv7em.code_map import CodeMap
from emu.architectures.armv7em.exceptions import (
    VECTOR_TABLE_BYTES,
    exceptions_of_handler,
    interrupted_by_handler,
    is_exception_return,
    on_process_stack,
)
from emu.architectures.armv7em.thumb import DYNAMIC, StackEffect
from emu.architectures.core import Memory
from emu.debug_info import UnwindEntry
from emu.firmware import Firmware, Function
from emu.record import Frame

_SP, _LR, _PC = 13, 14, 15
_NAMES = {**{f"r{i}": i for i in range(13)}, "sb": 9, "sl": 10, "fp": 11, "ip": 12, "lr": _LR}
_BX_LR = b"\x70\x47"
_BLX, _BL_FIRST, _BL_SECOND = 0x4780, 0xF000, 0xD000
_SOME_EXCEPTION = "an exception"
_HIGHEST = 1 << 32
_DEEPEST = 100_000
"""The most frames of a walk, which ends a walk through a broken stack."""


@dataclass(frozen=True)
class _Call:
    """The machine when a function was called."""

    sp: int | None
    """None if it is not known."""
    registers: list[int] | None
    """The machine when the function returns, before its return address is in r15; None if the walk ends here."""
    why: str | None = None
    """Why the walk ends here; None if the stack begins here."""


@dataclass(frozen=True)
class _Caller:
    """The machine in a function that made a call, or that an exception interrupted."""

    registers: list[int]
    pc: int
    """An address inside the call, as the return address may belong to another line or function."""
    below: int
    """The end of the frame below this function's frame."""
    top: int
    exception: str | None = None


def unwind(
    code: CodeMap,
    registers: Sequence[int],
    read: Memory,
    lowest: int,
    at: int,
    top: int = _HIGHEST,
    *,
    one_stack: bool = False,
) -> list[Frame]:
    """Return the frames, innermost first.

    ``registers`` are r0 to r15 of the innermost function, then PSP if it is known. The frame of that function extends
    down to ``lowest``, the lowest SP, set by the instruction ``at``. The stack begins at ``top``; frames beyond it
    belong to another stack. A handler is followed by the code that it interrupted, unless that is on another stack and
    ``one_stack`` is set. If every frame of one stack is known, the sizes add up to ``top`` - ``lowest``.
    """
    firmware = code.firmware
    frames: list[Frame] = []
    caller: _Caller | str | None = _Caller(list(registers), registers[_PC], lowest, top)
    while isinstance(caller, _Caller):
        called, shown = caller, caller.pc if frames else at
        call = _call_of(code, called, read, made_call=bool(frames) and called.exception is None)
        size = None if call.sp is None or not called.below <= call.sp <= called.top else call.sp - called.below
        if len(frames) == _DEEPEST - 1:
            caller = f"a walk has at most {_DEEPEST:,} frames"
        elif call.sp is not None and size is None:
            caller = "its frame is not inside the stack"
        else:
            caller = _caller_of(firmware, call, called, read, one_stack=one_stack)
        place = firmware.locate(shown).model_dump()
        why = caller if isinstance(caller, str) else None
        frames.append(Frame(**place, pc=shown, frame_bytes=size, interrupted_by=called.exception, walk_ends=why))
    return frames


def end_of_stack(firmware: Firmware, sp: int) -> int:
    """Return an address that no frame of the stack at ``sp`` lies beyond, as near to the stack's end as is known."""
    variable = firmware.variable_at(sp)
    if variable is not None:
        return variable.end
    return firmware.initial_sp if sp in firmware.stack_region and sp <= firmware.initial_sp else _HIGHEST


def _call_of(code: CodeMap, called: _Caller, read: Memory, *, made_call: bool) -> _Call:
    firmware = code.firmware
    state, pc = called.registers, called.pc
    function = firmware.function_at(pc)
    entry = firmware.unwind_entry(pc)
    found = _by_unwind_information(entry, state, pc) if entry is not None else None
    if function is not None and (entry is None or len(entry.rows) <= 1):  # no frame, or assembly without a description
        found = _by_instructions(code, function, state, pc) or found
    if found is None:
        return _Call(None, None, "no unwind information")

    sp, saved = found
    registers = list(state)
    registers[_SP] = sp
    for register, address in saved.items():
        stored = read(address, 4)
        if len(stored) < 4:
            return _Call(None, None, f"no caller is known: the saved register at {address:#010x} cannot be read")
        registers[register] = int.from_bytes(stored, "little")
    if function is not None and function.start == firmware.reset_pc:
        return _Call(sp, None)
    if made_call and _LR not in saved:
        why = None if sp == called.top else "no caller is known: it never returns, and has kept no return address"
        return _Call(sp, None, why)
    return _Call(sp, registers)


def _caller_of(
    firmware: Firmware, call: _Call, called: _Caller, read: Memory, *, one_stack: bool
) -> _Caller | str | None:
    """Return the caller or the interrupted code; why there is none; or None if the stack begins here."""
    if call.registers is None or call.sp is None:
        return call.why
    begins_here, return_address = call.sp == called.top, call.registers[_LR]
    if is_exception_return(return_address):
        if one_stack and on_process_stack(return_address):
            return None if begins_here else "it has interrupted code on the process stack"
        interrupted = interrupted_by_handler(call.registers, return_address, read)
        if interrupted is None:
            return "no caller is known: the exception's frame cannot be read"
        pc = interrupted.registers[_PC]
        if not _is_code(firmware, pc):
            return f"no caller is known: it has interrupted {pc:#010x}, where no code is"
        top = end_of_stack(firmware, interrupted.frame) if interrupted.on_process_stack else called.top
        exception = _exception_of(firmware, called.pc)
        return _Caller(interrupted.registers, pc, interrupted.frame, top, exception)
    if begins_here and call.sp != firmware.initial_sp:
        return None
    if not _follows_call(firmware, return_address):
        if begins_here or _begins_function(firmware, return_address):  # a kernel's, for a task that returns
            return None
        return f"no caller is known: its return address {return_address:#010x} does not follow a call"
    registers = list(call.registers)
    registers[_PC] = return_address & ~1
    return _Caller(registers, registers[_PC] - 2, call.sp, called.top)


def _is_code(firmware: Firmware, address: int) -> bool:
    region = firmware.board.region_at(address)
    return region is not None and region.executable


def _begins_function(firmware: Firmware, return_address: int) -> bool:
    function = firmware.function_at(return_address & ~1)
    return function is not None and function.start == return_address & ~1


def _follows_call(firmware: Firmware, return_address: int) -> bool:
    """Return whether the instruction before is BL or BLX; true for code that is not in the ELF."""
    address = return_address & ~1
    if address == return_address or not _is_code(firmware, address - 2):
        return False
    narrow, wide = firmware.bytes_at(address - 2, 2), firmware.bytes_at(address - 4, 4)
    if len(narrow) < 2:
        return True
    if int.from_bytes(narrow, "little") & 0xFF87 == _BLX:
        return True
    first, second = int.from_bytes(wide[:2], "little"), int.from_bytes(wide[2:], "little")
    return first & 0xF800 == _BL_FIRST and second & 0xD000 == _BL_SECOND


def _exception_of(firmware: Firmware, pc: int) -> str:
    """Return the name of the exception that the function at ``pc`` handles, if it handles only one."""
    handler, table = firmware.function_at(pc), firmware.start.vector_table
    if handler is None or table is None:
        return _SOME_EXCEPTION
    names = exceptions_of_handler(firmware.bytes_at(table, VECTOR_TABLE_BYTES), handler.start)
    return names[0] if len(names) == 1 else _SOME_EXCEPTION


def _by_unwind_information(entry: UnwindEntry, state: list[int], pc: int) -> tuple[int, dict[int, int]] | None:
    """Return SP at the call, and the address of each saved register."""
    rows = [row for row in entry.rows if row.pc <= pc]
    if not rows or rows[-1].base is None:
        return None
    sp = (state[rows[-1].base] + rows[-1].offset) & 0xFFFFFFFF
    return sp, {register: sp + distance for register, distance in rows[-1].saved if register < _PC}


def _by_instructions(code: CodeMap, function: Function, state: list[int], pc: int) -> tuple[int, dict[int, int]] | None:
    """Return SP at the call and the saved registers, from the pushes and pops between the start and ``pc``."""
    depth = before_epilogue = 0
    depth_of: dict[int, int] = {}  # for each saved register, its distance below SP at the call
    previous: StackEffect | None = None
    saved_before_epilogue = dict(depth_of)
    for effect in code.effects_between(function.start, pc):
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
        returns = effect.delta > 0 and (
            "pc" in effect.operands or code.firmware.bytes_at(effect.following, 2) == _BX_LR
        )
        if returns and effect.following < pc:  # the next instruction is reached from code before the epilogue
            depth, depth_of = before_epilogue, saved_before_epilogue
        previous = effect
    sp = state[_SP] + depth
    return sp, {register: sp - at for register, at in depth_of.items()}
