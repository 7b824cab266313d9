"""Sizes: what fills each memory, grouped in every way in which a report shows it, from a record's layout alone."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, get_args

from emu.errors import InputError
from emu.record import Piece, Run

By = Literal["region", "section", "archive", "file", "symbol"]
WAYS: tuple[By, ...] = get_args(By)

NO_NAME: Mapping[By, str] = {
    "region": "",
    "section": "(between sections)",
    "archive": "(in no library)",
    "file": "(no file known)",
    "symbol": "(no symbol: literals, padding)",
}
"""The name of the group of pieces without a name of their own."""


@dataclass(frozen=True)
class Space:
    """A memory of the board: where it is, and whether it is RAM."""

    name: str
    start: int
    size: int
    is_ram: bool


@dataclass(frozen=True)
class Layout:
    """What fills the memories of one firmware."""

    name: str
    spaces: list[Space]
    pieces: list[Piece]

    @property
    def has_map(self) -> bool:
        """Whether a linker's map tells the libraries."""
        return any(piece.archive is not None for piece in self.pieces)


@dataclass(frozen=True)
class Group:
    """The pieces of one memory that have one name."""

    region: str
    name: str
    bytes: int
    address: int
    """The lowest address."""
    pieces: int
    """The number of pieces."""


@dataclass(frozen=True)
class Fill:
    """How full a memory is."""

    space: Space
    used: int
    """Code, constants and variables."""
    reserved: int
    """Room for stacks and the heap that sections reserve."""
    largest_gap: int
    """The longest free piece between two pieces, or at an end."""

    @property
    def free(self) -> int:
        """Bytes that belong to no section."""
        return self.space.size - self.used - self.reserved


@dataclass(frozen=True)
class Grown:
    """A group in two layouts."""

    region: str
    name: str
    before: int
    after: int

    @property
    def increase(self) -> int:
        """How much larger the group is in the second layout."""
        return self.after - self.before


_NAME_OF: Mapping[By, Callable[[Piece], str | None]] = {
    "region": lambda piece: piece.region,
    "section": lambda piece: piece.section,
    "archive": lambda piece: piece.archive,
    "file": lambda piece: piece.file,
    "symbol": lambda piece: piece.symbol,
}


def layout_of(run: Run) -> Layout | None:
    """Return the layout of a run's firmware; None if the record has none: it is older, or its run was on no board."""
    spaces = [
        Space(use.name, use.start, use.size_bytes, use.is_ram)
        for use in run.memory.by_region
        if use.start is not None and use.is_ram is not None
    ]
    pieces = run.memory.layout
    return Layout(f"{run.model} on {run.target}", spaces, pieces) if pieces and spaces else None


def static_bytes(layout: Layout) -> dict[str, dict[str, int]]:
    """Return the bytes of each symbol in flash and in static RAM, by the short names of these figures."""
    ram = {space.name for space in layout.spaces if space.is_ram}
    sizes: dict[str, dict[str, int]] = {"flash": {}, "static_ram": {}}
    for piece in layout.pieces:
        if not piece.reserved and not piece.section.startswith(".mailbox"):
            parts = sizes["static_ram" if piece.region in ram else "flash"]
            name = piece.symbol or NO_NAME["symbol"]
            parts[name] = parts.get(name, 0) + piece.bytes
    return sizes


def parse_ways(words: Iterable[str]) -> list[By]:
    """Return the ways to group that a user named; raises InputError for another word."""
    known: Mapping[str, By] = {way: way for way in WAYS}
    ways: list[By] = []
    for word in words:
        way = known.get(word)
        if way is None:
            raise InputError(f"--by {word}: needs one of {', '.join(WAYS)}")
        ways.append(way)
    return ways


def groups(pieces: Iterable[Piece], by: By) -> list[Group]:
    """Return the groups of the pieces that are not only reserved: memory after memory, the largest group first.

    Two symbols of one name in different files are different groups.
    """
    found: dict[tuple[str, str, str], list[Piece]] = {}
    for piece in pieces:
        if not piece.reserved:
            name = _NAME_OF[by](piece) or NO_NAME[by]
            apart = piece.file or "" if by == "symbol" and piece.symbol is not None else ""
            found.setdefault((piece.region, name, apart), []).append(piece)
    rows = [
        Group(region, name, sum(p.bytes for p in members), min(p.address for p in members), len(members))
        for (region, name, _), members in found.items()
    ]
    order = {name: index for index, name in enumerate(dict.fromkeys(piece.region for piece in pieces))}
    return sorted(rows, key=lambda row: (order[row.region], -row.bytes, row.name, row.address))


def fills(pieces: Sequence[Piece], spaces: Iterable[Space]) -> list[Fill]:
    """Return how full each memory is that holds something."""
    filled = []
    for space in spaces:
        own = [piece for piece in pieces if piece.region == space.name]
        if own:
            edges = sorted((piece.address, piece.address + piece.bytes) for piece in own)
            bounds = [(space.start, space.start), *edges, (space.start + space.size, space.start + space.size)]
            gaps = [after[0] - before[1] for before, after in pairwise(bounds)]
            used = sum(piece.bytes for piece in own if not piece.reserved)
            reserved = sum(piece.bytes for piece in own if piece.reserved)
            filled.append(Fill(space, used, reserved, max(0, *gaps)))
    return filled


def changes(before: Sequence[Piece], after: Sequence[Piece], by: By) -> list[Grown]:
    """Return the groups whose size differs, the largest change first."""
    sizes = [_sizes(before, by), _sizes(after, by)]
    rows = [Grown(*key, sizes[0].get(key, 0), sizes[1].get(key, 0)) for key in dict.fromkeys([*sizes[0], *sizes[1]])]
    return sorted((row for row in rows if row.increase), key=lambda row: (-abs(row.increase), row.region, row.name))


def _sizes(pieces: Sequence[Piece], by: By) -> dict[tuple[str, str], int]:
    sizes: dict[tuple[str, str], int] = {}
    for row in groups(pieces, by):
        sizes[row.region, row.name] = sizes.get((row.region, row.name), 0) + row.bytes
    return sizes
