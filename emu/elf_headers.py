"""The tables of an ELF as the file has them: its header, program headers, section headers and symbols.

Nothing here judges the values: ``emu.elf`` does.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

NOBITS = 8
"""The type of a section without bytes in the file."""
_CLASS_AT, _ENDIANNESS_AT, _AFTER_IDENTIFICATION = 4, 5, 16
_BITS = {1: 32, 2: 64}
_ENDIANNESS = {1: "<", 2: ">"}
_MANY_SEGMENTS, _MANY_SECTIONS = 0xFFFF, 0xFFFF
"""Numbers too large for the header stand in the first section header instead."""


class _Layout(NamedTuple):
    """The formats of ``struct`` for one width of addresses, and the order of our fields in them."""

    header: str
    segment: str
    segment_fields: tuple[int, ...]
    section: str
    symbol: str
    symbol_fields: tuple[int, ...]


_LAYOUTS = {
    32: _Layout("HHIIIIIHHHHHH", "8I", (0, 1, 2, 3, 4, 5), "10I", "IIIBBH", (0, 1, 2, 3, 5)),
    64: _Layout("HHIQQQIHHHHHH", "IIQQQQQQ", (0, 2, 3, 4, 5, 6), "IIQQQQIIQQ", "IBBHQQ", (0, 4, 5, 1, 3)),
}


class SegmentHeader(NamedTuple):
    """A program header."""

    type: int
    offset: int
    address: int
    load_address: int
    file_size: int
    memory_size: int


class SectionHeader(NamedTuple):
    """A section header."""

    name: int
    """Where the name begins in the table of names."""
    type: int
    flags: int
    address: int
    offset: int
    size: int
    link: int
    info: int
    alignment: int
    entry_size: int


@dataclass(frozen=True)
class Headers:
    """The header of an ELF, and the headers of its segments and sections."""

    contents: bytes
    bits: int
    little_endian: bool
    type: int
    machine: int
    entry: int
    tables: tuple[tuple[int, int], ...]
    """Offset and size of the table of segments and of the table of sections."""
    cut: bool
    """Whether a table reaches past the end of the file; such a table is empty here."""
    segments: tuple[SegmentHeader, ...]
    sections: tuple[SectionHeader, ...]
    names_section: int
    """The index of the section with the names of the sections."""

    @cached_property
    def _names(self) -> bytes:
        section = self.sections[self.names_section]
        return self.contents[section.offset : section.offset + section.size]

    def name_of(self, section: SectionHeader) -> str:
        """Return the name of ``section``."""
        return self._names[section.name : self._names.index(b"\0", section.name)].decode("utf-8", "replace")

    def symbols(self, table: bytes) -> Iterator[tuple[int, int, int, int, int]]:
        """Yield where the name begins, value, size, info and section of each symbol in the bytes of a symbol table."""
        layout = _LAYOUTS[self.bits]
        name, value, size, info, section = layout.symbol_fields
        for row in struct.iter_unpack(f"{'<' if self.little_endian else '>'}{layout.symbol}", table):
            yield row[name], row[value], row[size], row[info], row[section]


def read_headers(contents: bytes) -> Headers:
    """Return the headers of an ELF; raises ValueError, LookupError or struct.error if they are damaged."""
    bits, order = _BITS[contents[_CLASS_AT]], _ENDIANNESS[contents[_ENDIANNESS_AT]]
    layout = _LAYOUTS[bits]
    (
        kind,
        machine,
        _version,
        entry,
        segments_at,
        sections_at,
        _flags,
        _header_size,
        segment_size,
        segment_count,
        section_size,
        section_count,
        names_section,
    ) = struct.unpack_from(order + layout.header, contents, _AFTER_IDENTIFICATION)
    section_format, segment_format = order + layout.section, order + layout.segment
    if sections_at and sections_at + struct.calcsize(section_format) <= len(contents):
        first = SectionHeader(*struct.unpack_from(section_format, contents, sections_at))
        section_count = section_count or first.size
        segment_count = first.info if segment_count == _MANY_SEGMENTS else segment_count
        names_section = first.link if names_section == _MANY_SECTIONS else names_section
    for count, size, row in (
        (segment_count, segment_size, segment_format),
        (section_count, section_size, section_format),
    ):
        if count and size < struct.calcsize(row):
            raise ValueError("the entries of a table are too short")
    tables = ((segments_at, segment_count * segment_size), (sections_at, section_count * section_size))
    cut = any(offset + size > len(contents) for offset, size in tables)
    segments = () if cut else _rows(contents, segment_format, segments_at, segment_count, segment_size)
    sections = () if cut else _rows(contents, section_format, sections_at, section_count, section_size)
    return Headers(
        contents=contents,
        bits=bits,
        little_endian=order == "<",
        type=kind,
        machine=machine,
        entry=entry,
        tables=tables,
        cut=cut,
        segments=tuple(SegmentHeader(*(row[field] for field in layout.segment_fields)) for row in segments),
        sections=tuple(SectionHeader(*row) for row in sections),
        names_section=names_section,
    )


def _rows(contents: bytes, row: str, start: int, count: int, size: int) -> tuple[tuple[int, ...], ...]:
    return tuple(struct.unpack_from(row, contents, start + index * size) for index in range(count))
