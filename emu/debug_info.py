"""Debug information of an ELF: which source line an instruction comes from, and how to unwind its frame.

Reading DWARF takes time, so each table is read at its first use.
"""

import posixpath
import struct
from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from functools import cached_property

from elftools.common.exceptions import DWARFError, ELFError
from elftools.dwarf.callframe import FDE
from elftools.dwarf.compileunit import CompileUnit
from elftools.dwarf.dwarfinfo import DWARFInfo
from elftools.dwarf.lineprogram import LineProgram
from elftools.elf.elffile import ELFFile

from emu.debug_types import Member, find_member

CORRUPT = (
    RecursionError,
    NotImplementedError,
    ELFError,
    DWARFError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    AssertionError,
    ArithmeticError,
    struct.error,
)
"""The errors of pyelftools for a file whose parts contradict each other."""

Place = tuple[str | None, int | None]
"""File and line."""
_Row = tuple[int, bool, Place]
"""Address, whether code is there (False at the end of code), and file and line."""


@dataclass(frozen=True)
class _LineTable:
    addresses: list[int]
    places: list[Place]

    def at(self, pc: int) -> Place:
        index = bisect_right(self.addresses, pc) - 1
        return self.places[index] if index >= 0 else (None, None)

    def first_at(self, pc: int) -> Place:
        """Return the first of several places that have the same address."""
        rows = self.places[bisect_left(self.addresses, pc) : bisect_right(self.addresses, pc)]
        return next((place for place in rows if place[0] is not None), self.at(pc))


@dataclass(frozen=True)
class CodeAtZero:
    """Code at address 0, where the linker also leaves the debug information of discarded functions."""

    names: frozenset[str]
    """The names of the function that starts at address 0."""
    ends: frozenset[int]
    """Addresses where a function ends or the next one starts. Code compiled as one unit ends at such an address."""


class DebugInfo:
    """The line tables and the unwind information of one ELF; damaged ones are treated as missing."""

    def __init__(self, elf: ELFFile, code_at_zero: CodeAtZero | None):
        self._elf = elf
        self._code_at_zero = code_at_zero
        self._line_tables: dict[int, _LineTable] = {}
        self._members: dict[tuple[str, tuple[str, ...]], Member | None] = {}

    def line_at(self, pc: int) -> Place:
        """Return file and line of the instruction at ``pc``; each is None if it is not known."""
        return self._table_at(pc).at(pc)

    def declaration_at(self, start: int) -> Place:
        """Return file and line of the function that starts at ``start``, even if it starts with inlined code."""
        return self._table_at(start).first_at(start)

    def _table_at(self, pc: int) -> _LineTable:
        starts, ranges = self._unit_ranges
        index = bisect_right(starts, pc) - 1
        known = index >= 0 and pc < ranges[index][1]
        return self._line_table(ranges[index][2]) if known else _LineTable([], [])

    def unwind_entry(self, pc: int) -> FDE | None:
        """Return the ``.debug_frame`` entry that covers ``pc``, or None."""
        starts, entries = self._unwind_entries
        index = bisect_right(starts, pc) - 1
        if index < 0:
            return None
        header = entries[index].header
        return entries[index] if pc < header["initial_location"] + header["address_range"] else None

    def member(self, variable: str, path: tuple[str, ...]) -> Member | None:
        """Return where the members ``path`` lead to from ``variable``; None if that is not known."""
        if (variable, path) not in self._members:
            try:
                found = find_member(self._dwarf, variable, path) if self._dwarf is not None else None
            except CORRUPT:
                found = None
            self._members[variable, path] = found
        return self._members[variable, path]

    @cached_property
    def _unwind_entries(self) -> tuple[list[int], list[FDE]]:
        dwarf = self._dwarf
        if dwarf is None or dwarf.debug_frame_sec is None:
            return [], []
        try:
            entries = [
                entry
                for entry in dwarf.CFI_entries()
                if isinstance(entry, FDE)
                and self._is_linked(
                    entry.header["initial_location"], entry.header["initial_location"] + entry.header["address_range"]
                )
            ]
        except CORRUPT:
            return [], []
        at_zero = [entry for entry in entries if entry.header["initial_location"] == 0]
        if len(at_zero) > 1:  # nothing tells which of them is right
            entries = [entry for entry in entries if entry not in at_zero]
        entries.sort(key=lambda entry: entry.header["initial_location"])
        return [entry.header["initial_location"] for entry in entries], entries

    @cached_property
    def _dwarf(self) -> DWARFInfo | None:
        try:
            if self._elf.get_section_by_name(".debug_frame") is None and not self._elf.has_dwarf_info():
                return None
            return self._elf.get_dwarf_info(relocate_dwarf_sections=False)
        except CORRUPT:
            return None

    @cached_property
    def _unit_ranges(self) -> tuple[list[int], list[tuple[int, int, int]]]:
        """Start, end and offset of the compilation unit of each piece of code, by address."""
        dwarf = self._dwarf
        if dwarf is None or dwarf.debug_line_sec is None:
            return [], []
        ranges: list[tuple[int, int, int]] = []
        try:
            aranges = dwarf.get_aranges() if dwarf.debug_aranges_sec is not None else None
            if aranges is not None:
                ranges = [(e.begin_addr, e.begin_addr + e.length, e.info_offset) for e in aranges.entries]
            covered = {offset for _, _, offset in ranges}
            for unit in dwarf.iter_CUs():
                if unit.cu_offset not in covered:
                    table = self._line_table(unit.cu_offset)
                    spans = zip(table.addresses, table.addresses[1:], table.places, strict=False)
                    ranges += [(start, end, unit.cu_offset) for start, end, place in spans if place[0] is not None]
        except CORRUPT:
            return [], []
        ranges = sorted(span for span in ranges if self._is_linked(*span))
        return [start for start, _, _ in ranges], ranges

    def _is_linked(self, start: int, end: int, unit_offset: int | None = None) -> bool:
        """Return whether debug information from ``start`` to ``end`` describes linked code."""
        if start != 0:
            return True
        if self._code_at_zero is None or end not in self._code_at_zero.ends:
            return False
        return unit_offset is None or self._function_at_zero[0] in (None, unit_offset)

    def _distance_from_function_at_zero(self, sequence: list[_Row]) -> int:
        """Return the distance, in lines, from the declaration of the function at address 0 to the code's first line."""
        return abs((sequence[0][2][1] or 0) - self._function_at_zero[1])

    @cached_property
    def _function_at_zero(self) -> tuple[int | None, int]:
        """The unit's offset and the line of the function at address 0; None and 0 if no unit has the function."""
        if self._dwarf is None or self._code_at_zero is None:
            return None, 0
        try:
            return self._find_function(self._dwarf, self._code_at_zero.names)
        except CORRUPT:
            return None, 0

    def _find_function(self, dwarf: DWARFInfo, names: frozenset[str]) -> tuple[int | None, int]:
        for unit in dwarf.iter_CUs():
            for entry in unit.iter_DIEs():
                low, name = entry.attributes.get("DW_AT_low_pc"), entry.attributes.get("DW_AT_name")
                if entry.tag != "DW_TAG_subprogram" or low is None or name is None or low.value != 0:
                    continue
                if _text(name.value) in names:
                    line = entry.attributes.get("DW_AT_decl_line")
                    return unit.cu_offset, 0 if line is None else line.value
        return None, 0

    def _line_table(self, unit_offset: int) -> _LineTable:
        if unit_offset not in self._line_tables:
            try:
                self._line_tables[unit_offset] = self._read_line_table(unit_offset)
            except CORRUPT:
                self._line_tables[unit_offset] = _LineTable([], [])
        return self._line_tables[unit_offset]

    def _read_line_table(self, unit_offset: int) -> _LineTable:
        if self._dwarf is None:
            return _LineTable([], [])
        unit = self._dwarf.get_CU_at(unit_offset)
        program = self._dwarf.line_program_for_CU(unit)
        if program is None:
            return _LineTable([], [])
        names = _file_names(unit, program)
        rows: list[_Row] = []
        sequence: list[_Row] = []
        at_zero: list[list[_Row]] = []
        for entry in program.get_entries():
            state = entry.state
            if state is None:
                continue
            if state.end_sequence:
                if sequence and self._is_linked(sequence[0][0], state.address, unit_offset):
                    sequence.append((state.address, False, (None, None)))
                    if sequence[0][0] == 0:
                        at_zero.append(sequence)
                    else:
                        rows += sequence
                sequence = []
            else:
                sequence.append((state.address, True, (names.get(state.file), state.line or None)))
        if at_zero:
            rows += min(at_zero, key=self._distance_from_function_at_zero)
        # A stable sort puts the end of a sequence before the start of another sequence at that address.
        rows.sort(key=lambda row: row[:2])
        return _LineTable([row[0] for row in rows], [row[2] for row in rows])


def _file_names(unit: CompileUnit, program: LineProgram) -> dict[int, str]:
    """Return the unit's source files by their number in the line table, relative to where it was compiled."""
    header = program.header
    top = unit.get_top_DIE().attributes.get("DW_AT_comp_dir")
    compiled_in = _text(top.value) if top is not None else ""
    directories = [_text(directory) for directory in header["include_directory"]]
    since_5 = header["version"] >= 5  # version 5 counts from 0, and lists the unit's own file and directory
    if not since_5:
        directories = [compiled_in, *directories]
    names = {}
    for number, entry in enumerate(header["file_entry"], start=0 if since_5 else 1):
        directory = directories[entry.dir_index] if entry.dir_index < len(directories) else ""
        path = posixpath.normpath(posixpath.join(compiled_in, directory, _text(entry.name)))
        prefix = posixpath.normpath(compiled_in) + "/" if compiled_in else ""
        names[number] = path.removeprefix(prefix) if prefix else path
    return names


def _text(value: object) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
