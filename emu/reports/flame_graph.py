"""The layout of call paths as a flame graph: the depth, the start and the width of each path."""

from collections.abc import Sequence
from dataclasses import dataclass

from emu.record import CallPath

_NARROWEST = 1 / 2000
_DEEPEST = 64


@dataclass(frozen=True)
class FlameFrame:
    """One call path as a rectangle; positions and widths are shares of the whole, 0..1."""

    path: CallPath
    depth: int
    start: float
    width: float
    """The share of all instructions that ran in the function and in everything that it called."""
    own: float
    """The share of all instructions that ran in the function alone."""


@dataclass(frozen=True)
class FlameGraph:
    """The frames in depth-first order: a caller, then its callees, the largest first."""

    frames: list[FlameFrame]
    left_out: int
    """The number of paths that are too narrow to see or too deep to draw."""

    @property
    def depth(self) -> int:
        """The number of levels."""
        return max((frame.depth for frame in self.frames), default=-1) + 1


def lay_out(paths: Sequence[CallPath]) -> FlameGraph:
    """Return the flame graph of a profile's call paths."""
    callees: dict[int | None, list[int]] = {}
    for index, path in enumerate(paths):
        callees.setdefault(path.caller, []).append(index)
    roots = callees.get(None, [])
    whole = sum(paths[index].inclusive_instructions for index in roots) or 1

    def side_by_side(indices: list[int], depth: int, start: int) -> list[tuple[int, int, int]]:
        placed = []
        for index in sorted(indices, key=lambda index: -paths[index].inclusive_instructions):
            placed.append((index, depth, start))
            start += paths[index].inclusive_instructions
        return placed

    frames: list[FlameFrame] = []
    pending = side_by_side(roots, 0, 0)[::-1]
    while pending:
        index, depth, start = pending.pop()
        path = paths[index]
        if path.inclusive_instructions / whole >= _NARROWEST and depth < _DEEPEST:
            counts = (start, path.inclusive_instructions, path.self_instructions)
            frames.append(FlameFrame(path, depth, *(count / whole for count in counts)))
            pending += side_by_side(callees.get(index, []), depth + 1, start)[::-1]
    return FlameGraph(frames, len(paths) - len(frames))
