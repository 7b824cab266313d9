"""What a Cortex-M's code does to SP, for the hook of ``stack_watch.cs``, which sees SP only before a block.

Within a block the hook adds up the changes that each instruction makes to SP. An instruction that sets SP to a value
known only at run time needs a look at SP right after it, unless that is too late to matter:

- what follows in straight-line code does not raise SP, so the next block begins as low;
- by the unwind information, the instruction gives SP a value that SP had earlier in the function's call.
"""

import struct
from collections.abc import Iterator
from pathlib import Path

from emu.architectures.armv7em.stack_effects import has_branch, stack_effects
from emu.architectures.armv7em.thumb import DYNAMIC, StackEffect
from emu.firmware import Firmware

_SP = 13


def write_stack_code(firmware: Firmware, path: Path) -> None:
    """Write the pieces of code, the changes of SP, and the addresses at which to look at SP, as little-endian words."""
    pieces = [(start, code) for start, code in firmware.code() if code]
    effects = [(piece, effect) for piece in pieces for effect in stack_effects(piece[1], piece[0])]
    looks = list(_looks(firmware, effects))
    data = [struct.pack("<I", len(pieces))]
    data += [struct.pack("<II", start, len(code)) + code for start, code in pieces]
    data.append(struct.pack("<I", len(effects)))
    data += [struct.pack("<Ii", effect.address, effect.delta) for _, effect in effects]
    data.append(struct.pack(f"<I{len(looks)}I", len(looks), *looks))
    path.write_bytes(b"".join(data))


def _looks(firmware: Firmware, effects: list[tuple[tuple[int, bytes], StackEffect]]) -> Iterator[int]:
    for index, ((start, code), effect) in enumerate(effects):
        if effect.delta != DYNAMIC or "pc" in effect.operands:
            continue
        at, raised = effect.following, False
        held_before = _held_before(firmware, effect)
        for (other_start, _), other in effects[index + 1 :]:
            if other_start != start or has_branch(code[at - start : other.address - start], at):
                break
            raised |= other.delta == DYNAMIC or (other.delta < 0 if held_before else other.delta > 0)
            at = other.address
        if raised:
            yield effect.following


def _held_before(firmware: Firmware, effect: StackEffect) -> bool:
    """Return whether SP, as ``effect`` leaves it, had that value before: the prologue had gone as deep."""
    entry = firmware.unwind_entry(effect.following)
    rows = () if entry is None else entry.rows
    depths = [row.offset if row.base == _SP else -1 for row in rows if row.pc <= effect.following]
    return bool(depths) and 0 <= depths[-1] <= max(depths[:-1], default=-1)
