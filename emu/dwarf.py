"""Read the debug information of an ELF from its DWARF sections. This takes time: ``emu.firmware`` keeps the result."""

import io
import posixpath
import struct
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any

from elftools.common.exceptions import DWARFError, ELFError
from elftools.dwarf.callframe import FDE
from elftools.dwarf.compileunit import CompileUnit
from elftools.dwarf.dwarfinfo import DWARFInfo
from elftools.dwarf.lineprogram import LineProgram
from elftools.elf.elffile import ELFFile

from emu.debug_info import CodeAtZero, DebugInfo, LineTable, Member, Place, UnwindEntry, UnwindRow
from emu.debug_types import find_member

_CORRUPT = (
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

_Row = tuple[int, bool, Place]
"""Address, whether code is there (False at the end of code), and file and line."""


def read_debug_info(contents: bytes, code_at_zero: CodeAtZero | None) -> DebugInfo:
    """Return the debug information of the ELF with the bytes ``contents``; damaged parts are treated as missing."""
    try:
        elf = ELFFile(io.BytesIO(contents))
    except _CORRUPT:
        return DebugInfo([], [], [])
    reader = _Reader(elf, code_at_zero)
    ranges = reader.unit_ranges()
    offsets = list(dict.fromkeys(offset for _, _, offset in ranges))
    numbers = {offset: number for number, offset in enumerate(offsets)}
    return DebugInfo(
        units=[reader.line_table(offset) for offset in offsets],
        ranges=[(start, end, numbers[offset]) for start, end, offset in ranges],
        unwind=reader.unwind_entries(),
    )


def read_member(contents: bytes, variable: str, path: Sequence[str]) -> Member | None:
    """Return where the members ``path`` lead to from ``variable``; None if that is not known."""
    try:
        dwarf = ELFFile(io.BytesIO(contents)).get_dwarf_info(relocate_dwarf_sections=False)
        return find_member(dwarf, variable, path)
    except _CORRUPT:
        return None


class _Reader:
    def __init__(self, elf: ELFFile, code_at_zero: CodeAtZero | None):
        self._elf = elf
        self._code_at_zero = code_at_zero
        self._line_tables: dict[int, LineTable] = {}

    def unwind_entries(self) -> list[UnwindEntry]:
        """Return the entries of ``.debug_frame`` for linked code, by address."""
        dwarf = self._dwarf
        if dwarf is None or dwarf.debug_frame_sec is None:
            return []
        try:
            entries = [entry for entry in map(_unwind_entry, dwarf.CFI_entries()) if entry is not None]
        except _CORRUPT:
            return []
        entries = [entry for entry in entries if self._is_linked(entry.start, entry.end)]
        if sum(entry.start == 0 for entry in entries) > 1:  # nothing tells which of them is right
            entries = [entry for entry in entries if entry.start != 0]
        return sorted(entries, key=lambda entry: entry.start)

    def unit_ranges(self) -> list[tuple[int, int, int]]:
        """Return start, end and offset of the compilation unit of each piece of code, by address."""
        dwarf = self._dwarf
        if dwarf is None or dwarf.debug_line_sec is None:
            return []
        ranges: list[tuple[int, int, int]] = []
        try:
            aranges = dwarf.get_aranges() if dwarf.debug_aranges_sec is not None else None
            if aranges is not None:
                ranges = [(e.begin_addr, e.begin_addr + e.length, e.info_offset) for e in aranges.entries]
            covered = {offset for _, _, offset in ranges}
            for unit in dwarf.iter_CUs():
                if unit.cu_offset not in covered:
                    table = self.line_table(unit.cu_offset)
                    spans = zip(table.addresses, table.addresses[1:], table.places, strict=False)
                    ranges += [(start, end, unit.cu_offset) for start, end, place in spans if place[0] is not None]
        except _CORRUPT:
            return []
        return sorted(span for span in ranges if self._is_linked(*span))

    def line_table(self, unit_offset: int) -> LineTable:
        """Return the lines of the compilation unit at ``unit_offset``."""
        if unit_offset not in self._line_tables:
            try:
                self._line_tables[unit_offset] = self._read_line_table(unit_offset)
            except _CORRUPT:
                self._line_tables[unit_offset] = LineTable([], [])
        return self._line_tables[unit_offset]

    @cached_property
    def _dwarf(self) -> DWARFInfo | None:
        try:
            if self._elf.get_section_by_name(".debug_frame") is None and not self._elf.has_dwarf_info():
                return None
            return self._elf.get_dwarf_info(relocate_dwarf_sections=False)
        except _CORRUPT:
            return None

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
        except _CORRUPT:
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

    def _read_line_table(self, unit_offset: int) -> LineTable:
        if self._dwarf is None:
            return LineTable([], [])
        unit = self._dwarf.get_CU_at(unit_offset)
        program = self._dwarf.line_program_for_CU(unit)
        if program is None:
            return LineTable([], [])
        rows: list[_Row] = []
        at_zero: list[list[_Row]] = []
        for sequence, end in _sequences(program, _file_names(unit, program)):
            if sequence and self._is_linked(sequence[0][0], end, unit_offset):
                sequence.append((end, False, (None, None)))
                if sequence[0][0] == 0:
                    at_zero.append(sequence)
                else:
                    rows += sequence
        if at_zero:
            rows += min(at_zero, key=self._distance_from_function_at_zero)
        # A stable sort puts the end of a sequence before the start of another sequence at that address.
        rows.sort(key=lambda row: row[:2])
        return LineTable([row[0] for row in rows], [row[2] for row in rows])


def _sequences(program: LineProgram, names: dict[int, str]) -> Iterator[tuple[list[_Row], int]]:
    """Yield the rows of each sequence of a line program, and the first address after it."""
    sequence: list[_Row] = []
    for entry in program.get_entries():
        state = entry.state
        if state is None:
            continue
        if state.end_sequence:
            yield sequence, state.address
            sequence = []
        else:
            sequence.append((state.address, True, (names.get(state.file), state.line or None)))


def _unwind_entry(entry: object) -> UnwindEntry | None:
    if not isinstance(entry, FDE):
        return None
    start = entry.header["initial_location"]
    try:
        rows = tuple(_unwind_row(row) for row in entry.get_decoded().table)
    except _CORRUPT:
        rows = ()
    return UnwindEntry(start, start + entry.header["address_range"], rows)


def _unwind_row(row: dict[Any, Any]) -> UnwindRow:
    rule = row["cfa"]
    saved = tuple(
        (register, where.arg) for register, where in row.items() if isinstance(register, int) and where.type == "OFFSET"
    )
    return UnwindRow(row["pc"], rule.reg, 0 if rule.reg is None else rule.offset, saved)


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
