"""What fills the memories of a firmware: each byte that a figure counts belongs to exactly one piece."""

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

from emu.elf import Section, Segment
from emu.firmware import Firmware
from emu.probes.linker_map import LinkerMap
from emu.record import Piece
from emu.targets import Region


@dataclass(frozen=True)
class _Span:
    """Bytes of one section in one memory; ``section`` is empty for bytes of no section."""

    section: str
    start: int
    end: int
    runs_at: int
    """The address of the first byte while the firmware runs."""
    reserved: bool = False


@dataclass(frozen=True)
class _Named:
    """A function or a variable, and its address while the firmware runs."""

    start: int
    end: int
    name: str
    is_code: bool


def layout(firmware: Firmware, linker_map: LinkerMap | None = None) -> list[Piece]:
    """Return the pieces of every memory of the board, by address.

    In flash they add up to ``Firmware.static_bytes_in`` of the memory. In RAM they add up to ``static_bytes_in`` and
    ``mailbox_bytes_in``, without the reserved pieces.
    """
    names = _Names(firmware, linker_map)
    pieces = [
        piece
        for region in firmware.board.memory
        for span in (_ram_spans(firmware, region) if region.writable else _flash_spans(firmware, region))
        for piece in names.split(span, region.name)
    ]
    return sorted(pieces, key=lambda piece: piece.address)


def _flash_spans(firmware: Firmware, region: Region) -> Iterator[_Span]:
    for segment in firmware.segments:
        if segment.load_address in region:
            moved = segment.address - segment.load_address
            at = segment.load_address
            for section in _sections_in(firmware, segment):
                start, end = max(at, section.address - moved), section.end - moved
                yield from _gap(at, start, moved)
                if start < end:  # linker scripts can put sections above each other
                    yield _Span(section.name, start, end, start + moved)
                    at = end
            yield from _gap(at, segment.load_address + len(segment.data), moved)


def _sections_in(firmware: Firmware, segment: Segment) -> list[Section]:
    end = segment.address + len(segment.data)
    inside = [s for s in firmware.sections if s.data is not None and segment.address <= s.address and s.end <= end]
    return sorted(inside, key=lambda section: section.address)


def _gap(start: int, end: int, moved: int) -> Iterator[_Span]:
    if start < end:
        yield _Span("", start, end, start + moved)


def _ram_spans(firmware: Firmware, region: Region) -> Iterator[_Span]:
    for section in firmware.sections:
        if section.address not in region:
            continue
        stack = firmware.reserved_stack_in(section)
        for start, end, reserved in (
            (section.address, stack.start, section.reservation),
            (stack.start, stack.end, True),
            (stack.end, section.end, section.reservation),
        ):
            if start < end:
                yield _Span(section.name, start, end, start, reserved)


class _Names:
    """Finds the symbols and the files of addresses."""

    def __init__(self, firmware: Firmware, linker_map: LinkerMap | None):
        self._firmware, self._map = firmware, linker_map

    @cached_property
    def _named(self) -> list[_Named]:
        named = [_Named(s.address, s.end, s.readable, False) for s in self._firmware.objects]
        named += [_Named(f.start, f.end, f.name, True) for f in self._firmware.functions]
        return sorted(named, key=lambda each: (each.start, -each.end))

    @cached_property
    def _starts(self) -> list[int]:
        return [each.start for each in self._named]

    def split(self, span: _Span, region: str) -> Iterator[Piece]:
        """Yield the pieces of a span: one for each symbol, and one for each gap between two symbols."""
        moved = span.runs_at - span.start
        at, end = span.runs_at, span.end + moved
        for each in self._from(at, end):
            first, last = max(at, each.start), min(each.end, end)
            if first < last:
                if at < first:
                    yield self._piece(span, region, at, first, None)
                yield self._piece(span, region, first, last, each)
                at = last
        if at < end:
            yield self._piece(span, region, at, end, None)

    def _from(self, start: int, end: int) -> Iterable[_Named]:
        return self._named[bisect_left(self._starts, start) : bisect_left(self._starts, end)]

    def _piece(self, span: _Span, region: str, first: int, last: int, named: _Named | None) -> Piece:
        moved = span.runs_at - span.start
        origin = None if self._map is None else self._map.origin_of(first)
        return Piece.model_construct(
            region=region,
            section=span.section,
            address=first - moved,
            bytes=last - first,
            symbol=None if named is None else named.name,
            file=self._source_of(named) if origin is None else origin.file,
            archive=None if origin is None else origin.archive,
            initial_values=moved != 0,
            reserved=span.reserved,
        )

    def _source_of(self, named: _Named | None) -> str | None:
        """Return the source file of a function, or the file of a variable that only its file knows."""
        if named is None:
            return None
        return self._firmware.source_at(named.start) if named.is_code else self._firmware.file_of_local(named.start)
