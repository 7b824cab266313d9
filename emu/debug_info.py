"""Debug information of an ELF: which source line an instruction comes from, and how to unwind its frame.

Reading DWARF takes time, so ``emu.dwarf`` reads it once for each ELF, and these plain tables are kept in the cache.
"""

import json
from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

Place = tuple[str | None, int | None]
"""File and line."""


class UnwindRow(NamedTuple):
    """How to unwind a frame, from the instruction at ``pc`` on."""

    pc: int
    base: int | None
    """The register from which SP at the call is computed; None if the debug information has a formula instead."""
    offset: int
    """SP at the call is ``base`` plus this."""
    saved: tuple[tuple[int, int], ...]
    """Each saved register, with the distance of its place from SP at the call."""


@dataclass(frozen=True)
class UnwindEntry:
    """The unwind information of one function: code from ``start`` to before ``end``."""

    start: int
    end: int
    rows: tuple[UnwindRow, ...]
    """By address; empty if they are damaged."""


@dataclass(frozen=True)
class LineTable:
    """The lines of one compilation unit: from each address on, the code comes from the place with the same index."""

    addresses: list[int]
    places: list[Place]

    def at(self, pc: int) -> Place:
        """Return the place of the instruction at ``pc``; (None, None) if it is not known."""
        index = bisect_right(self.addresses, pc) - 1
        return self.places[index] if index >= 0 else (None, None)

    def first_at(self, pc: int) -> Place:
        """Return the first of several places that have the same address."""
        rows = self.places[bisect_left(self.addresses, pc) : bisect_right(self.addresses, pc)]
        return next((place for place in rows if place[0] is not None), self.at(pc))


@dataclass(frozen=True)
class Member:
    """The way from a variable to a value."""

    offsets: tuple[int, ...]
    """The first is added to the variable's address; before each other one, the pointer there is followed."""
    size: int | None
    """The bytes of the value; None if it is a text that ends with a zero byte."""


@dataclass(frozen=True)
class CodeAtZero:
    """Code at address 0, where the linker also leaves the debug information of discarded functions."""

    names: frozenset[str]
    """The names of the function that starts at address 0."""
    ends: frozenset[int]
    """Addresses where a function ends or the next one starts. Code compiled as one unit ends at such an address."""


@dataclass(frozen=True)
class DebugInfo:
    """The line tables and the unwind information of one ELF; damaged ones are missing."""

    units: list[LineTable]
    ranges: list[tuple[int, int, int]]
    """Start, end and the index of the unit of each piece of code, by address."""
    unwind: list[UnwindEntry]
    """By address."""

    def line_at(self, pc: int) -> Place:
        """Return file and line of the instruction at ``pc``; each is None if it is not known."""
        return self._table_at(pc).at(pc)

    def declaration_at(self, start: int) -> Place:
        """Return file and line of the function that starts at ``start``, even if it starts with inlined code."""
        return self._table_at(start).first_at(start)

    def unwind_entry(self, pc: int) -> UnwindEntry | None:
        """Return the unwind information of the function at ``pc``, or None."""
        index = bisect_right(self._unwind_starts, pc) - 1
        return self.unwind[index] if index >= 0 and pc < self.unwind[index].end else None

    def _table_at(self, pc: int) -> LineTable:
        index = bisect_right(self._range_starts, pc) - 1
        known = index >= 0 and pc < self.ranges[index][1]
        return self.units[self.ranges[index][2]] if known else LineTable([], [])

    @cached_property
    def _range_starts(self) -> list[int]:
        return [start for start, _, _ in self.ranges]

    @cached_property
    def _unwind_starts(self) -> list[int]:
        return [entry.start for entry in self.unwind]


def pack(info: DebugInfo) -> bytes:
    """Return ``info`` as bytes for the cache."""
    files: dict[str | None, int] = {}
    units = [
        (
            table.addresses,
            [files.setdefault(file, len(files)) for file, _ in table.places],
            [n for _, n in table.places],
        )
        for table in info.units
    ]
    unwind = [(entry.start, entry.end, entry.rows) for entry in info.unwind]
    return json.dumps([[*files], units, info.ranges, unwind], separators=(",", ":")).encode()


def unpack(data: bytes) -> DebugInfo:
    """Return what ``pack`` packed."""
    files, units, ranges, unwind = json.loads(data)
    return DebugInfo(
        units=[
            LineTable(addresses, [(files[file], line) for file, line in zip(numbers, lines, strict=True)])
            for addresses, numbers, lines in units
        ],
        ranges=[(start, end, unit) for start, end, unit in ranges],
        unwind=[UnwindEntry(start, end, tuple(map(_unwind_row, rows))) for start, end, rows in unwind],
    )


def _unwind_row(row: list[Any]) -> UnwindRow:
    pc, base, offset, saved = row
    return UnwindRow(pc, base, offset, tuple((register, distance) for register, distance in saved))
