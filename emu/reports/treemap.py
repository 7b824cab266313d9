"""What fills a memory as a treemap: rectangles whose areas are sizes, symbols inside their files."""

from collections.abc import Sequence
from dataclasses import dataclass

from emu.record import Piece
from emu.sizes import NO_NAME, Group, groups

_MOST_BOXES = 400
_HEIGHT = 0.4
"""The height of the whole map, as a share of its width: the shapes are chosen for this."""


@dataclass(frozen=True)
class Box:
    """A rectangle; positions and sizes are shares of the whole map, 0..1."""

    name: str
    bytes: int
    file: int
    """The number of the symbol's file, by size: neighbours with one number are of one file."""
    left: float
    top: float
    width: float
    height: float


@dataclass(frozen=True)
class Treemap:
    """The boxes of one memory."""

    region: str
    bytes: int
    boxes: list[Box]
    files: list[Group]
    """The files, the largest first."""


def draw(pieces: Sequence[Piece]) -> list[Treemap]:
    """Return a map for each memory that holds something."""
    maps = []
    for whole in groups(pieces, "region"):
        own = [piece for piece in pieces if piece.region == whole.region and not piece.reserved]
        files = groups(own, "file")
        boxes: list[Box] = []
        areas = _squarified([file.bytes for file in files], 0.0, 0.0, 1.0, _HEIGHT)
        for number, (file, area) in enumerate(zip(files, areas, strict=True)):
            symbols = groups([piece for piece in own if (piece.file or NO_NAME["file"]) == file.name], "symbol")
            inner = _squarified([symbol.bytes for symbol in symbols], *area)
            for symbol, (x, y, width, height) in zip(symbols, inner, strict=True):
                boxes.append(Box(symbol.name, symbol.bytes, number, x, y / _HEIGHT, width, height / _HEIGHT))
        boxes = sorted(boxes, key=lambda box: -box.bytes)[:_MOST_BOXES]
        maps.append(Treemap(whole.region, whole.bytes, boxes, files))
    return maps


_Area = tuple[float, float, float, float]
"""Left, top, width, height."""


def _squarified(sizes: Sequence[int], x: float, y: float, width: float, height: float) -> list[_Area]:
    """Return an area for each size, the largest first, as near to squares as rows of them can be.

    This is the algorithm of Bruls, Huizing and van Wijk, "Squarified Treemaps" (2000).
    """
    whole = sum(sizes)
    scale = width * height / whole if whole else 0.0
    areas: list[_Area] = []
    index = 0
    while index < len(sizes):
        side = min(width, height)
        count = 1
        while index + count < len(sizes) and _worst(sizes[index:][: count + 1], side, scale) <= _worst(
            sizes[index:][:count], side, scale
        ):
            count += 1
        row = sizes[index:][:count]
        depth = sum(row) * scale / side if side else 0.0
        at = 0.0
        for size in row:
            length = size * scale / depth if depth else 0.0
            areas.append((x, y + at, depth, length) if width >= height else (x + at, y, length, depth))
            at += length
        if width >= height:
            x, width = x + depth, max(0.0, width - depth)
        else:
            y, height = y + depth, max(0.0, height - depth)
        index += count
    return areas


def _worst(row: Sequence[int], side: float, scale: float) -> float:
    """Return how long the longest rectangle of a row is for its breadth."""
    total = sum(row) * scale
    if not side or not total or not min(row):
        return float("inf")
    return max(side**2 * max(row) * scale / total**2, total**2 / (side**2 * min(row) * scale))
