"""How the instructions of a whole firmware change SP."""

import json
import mmap
import re
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from ctypes import Array, c_int32, c_uint8, c_uint32, sizeof
from functools import cached_property
from typing import TypeVar

from emu.architectures.armv7em.thumb import DYNAMIC, StackEffect
from emu.firmware import Firmware

_Number = TypeVar("_Number", c_int32, c_uint8, c_uint32)

_DIVISION = re.compile(rb"(?=[\x90-\x9f\xb0-\xbf]\xfb[\xf0-\xff][\xf0-\xff])", re.DOTALL)

# The last byte tells VSTMDB (0x.A or 0x.B) and STR (0x.D) from other instructions with the same first byte.
_SAVES = re.compile(
    rb"(?=[\x20-\x2c]\xe9..|[\x20-\x2c\x60-\x6c]\xed.(?P<floats>.)|[\x40-\x4c]\xf8.(?P<word>.))", re.DOTALL
)
"""STMDB Rn!, VSTMDB Rn! and STR Rt, [Rn, #-n]! with another pointer than SP (A7.7.160, A7.7.255 and A7.7.161)."""

_SEND_EVENT = re.compile(rb"(?=\x40\xbf)", re.DOTALL)


def zeros(kind: type[_Number], count: int) -> Array[_Number]:
    """Return an array of zeros for C, which takes memory only for the pages that something is written to."""
    return (kind * count).from_buffer(mmap.mmap(-1, max(1, count * sizeof(kind))))


def _saves(match: re.Match[bytes]) -> bool:
    floats, word = match["floats"], match["word"]
    if floats is not None:
        return floats[0] & 0xE == 0xA
    return word is None or word[0] & 0xF == 0xD


class CodeMap:
    """The changes of SP for each region of code: one entry for each halfword."""

    def __init__(self, firmware: Firmware):
        self.firmware = firmware
        self.regions = tuple(region for region in firmware.board.memory if region.executable)
        self.deltas = [zeros(c_int32, region.size // 2) for region in self.regions]
        self.behind_dynamic: set[int] = set()
        """The addresses after instructions that move SP by an amount known only at run time."""
        self.behind_anew: set[int] = set()
        """The addresses after instructions that may lead SP to another stack."""
        for effect in self._effects:
            self._set(effect.address, effect.delta)
            if effect.delta == DYNAMIC:
                (self.behind_anew if effect.anew else self.behind_dynamic).add(effect.following)
        self.unknown = tuple(self._without(firmware))
        """First and last address of memory whose code cannot be told from data: every instruction there is watched."""

    @cached_property
    def _effects(self) -> list[StackEffect]:
        """The instructions that change SP, by address."""

        def read() -> bytes:
            from emu.architectures.armv7em.stack_effects import stack_effects  # only for an ELF not in the cache

            pieces = sorted(self.firmware.code())
            return json.dumps([effect for start, code in pieces for effect in stack_effects(code, start)]).encode()

        readers = ("emu.architectures.armv7em.stack_effects", "capstone")
        return [StackEffect(*row) for row in json.loads(self.firmware.kept("stack-effects", readers, read))]

    def effects_between(self, start: int, end: int) -> Sequence[StackEffect]:
        """Return the instructions from ``start`` to before ``end`` that change SP."""
        if any(first <= start and end <= first + size for first, size in self._pieces):
            first, last = (bisect_left(self._effects, at, key=lambda effect: effect.address) for at in (start, end))
            return self._effects[first:last]
        from emu.architectures.armv7em.stack_effects import stack_effects

        return [*stack_effects(self.firmware.bytes_at(start, end - start), start)]

    @cached_property
    def _pieces(self) -> list[tuple[int, int]]:
        return [(start, len(code)) for start, code in self.firmware.code()]

    @cached_property
    def divisions(self) -> list[int]:
        """The addresses of SDIV and UDIV, and of data that looks like them."""
        return self._places_of(_DIVISION)

    @cached_property
    def behind_saves(self) -> list[int]:
        """The addresses after instructions that store registers below another pointer than SP, and move the pointer."""
        return [address + 4 for address in self._places_of(_SAVES, _saves)]

    @cached_property
    def events(self) -> list[int]:
        """The addresses of SEV, and of data that looks like it."""
        return self._places_of(_SEND_EVENT)

    def _places_of(self, pattern: re.Pattern[bytes], is_wanted: Callable[[re.Match[bytes]], bool] = bool) -> list[int]:
        matches = ((start, match) for start, code in self.firmware.code() for match in pattern.finditer(code))
        places = (start + match.start() for start, match in matches if is_wanted(match))
        return [place for place in places if place % 2 == 0]

    def delta_at(self, address: int) -> int:
        """Return by how many bytes the instruction at ``address`` changes SP, or DYNAMIC."""
        for region, deltas in zip(self.regions, self.deltas, strict=True):
            if address in region:
                return deltas[(address - region.start) // 2]
        return 0

    def _set(self, address: int, delta: int) -> None:
        for region, deltas in zip(self.regions, self.deltas, strict=True):
            if address in region:
                deltas[(address - region.start) // 2] = delta
                return

    def _without(self, firmware: Firmware) -> Iterator[tuple[int, int]]:
        known = sorted((section.address, section.end) for section in firmware.mapped_sections)
        for region in self.regions:
            start = region.start
            for first, end in known:
                if first in region:
                    if start < first:
                        yield start, first - 1
                    start = max(start, end)
            if start < region.end:
                yield start, region.end - 1
