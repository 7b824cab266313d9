"""The allocator's free memory at the moments of refusals, counted late: most moments are soon of no interest.

To count free pieces is to look at every block. If each refusal did so, a program that is refused for ever would keep
emu busy for minutes. So a moment is noted with little work. Later it is counted from the blocks and their changes.
"""

from collections.abc import Hashable, Iterable
from dataclasses import dataclass

_MOST_WAITING = 64
"""The most moments that wait to be counted."""
_FEWEST_CHANGES = 4096


@dataclass
class Moment:
    """The allocator's memory at one moment."""

    spans: list[tuple[int, int]]
    """Start and end of each piece of the allocator's memory."""
    changes: int
    """The number of changes that were kept before this moment."""
    free_bytes: int | None = None
    """The bytes of free memory; None until counted."""
    largest_free_bytes: int | None = None
    """The bytes of the largest piece of free memory; None until counted."""

    @property
    def taken_bytes(self) -> int | None:
        """The bytes of the allocator's memory; None if no piece of it is known."""
        return sum(end - start for start, end in self.spans) if self.spans else None


class FreeMemory:
    """The live blocks, now and at the noted moments."""

    def __init__(self) -> None:
        self._ends: dict[int, int] = {}
        """The end of each live block, by its start."""
        self._changes: list[tuple[int, int | None]] = []
        """For each change since the first waiting moment: a block's start, and its end before the change."""
        self._waiting: dict[Hashable, Moment] = {}

    def change(self, start: int, end: int | None) -> None:
        """Note that a block begins at ``start`` and goes to ``end``, or that none does any more (None)."""
        if self._waiting:
            self._changes.append((start, self._ends.get(start)))
            if len(self._changes) > max(_FEWEST_CHANGES, 2 * len(self._ends)):
                self.count()
        _set(self._ends, start, end)

    def note(self, name: Hashable, spans: Iterable[tuple[int, int]]) -> Moment:
        """Return this moment, which takes the place of an uncounted moment of that name."""
        if name not in self._waiting and len(self._waiting) == _MOST_WAITING:
            self.count()
        moment = self._waiting[name] = Moment(list(spans), len(self._changes))
        return moment

    def count(self) -> None:
        """Count the free memory of the waiting moments."""
        ends, counted = dict(self._ends), None
        for moment in sorted(self._waiting.values(), key=lambda moment: -moment.changes):
            while len(self._changes) > moment.changes:
                _set(ends, *self._changes.pop())
            same = counted is not None and (counted.changes, counted.spans) == (moment.changes, moment.spans)
            if counted is not None and same:
                moment.free_bytes, moment.largest_free_bytes = counted.free_bytes, counted.largest_free_bytes
            elif pieces := _pieces(ends, moment.spans):
                moment.free_bytes, moment.largest_free_bytes = sum(pieces), max(pieces)
            counted = moment
        self._changes.clear()
        self._waiting.clear()


def _set(ends: dict[int, int], start: int, end: int | None) -> None:
    if end is None:
        ends.pop(start, None)
    else:
        ends[start] = end


def _pieces(ends: dict[int, int], spans: Iterable[tuple[int, int]]) -> list[int]:
    blocks, pieces = sorted(ends.items()), []
    for start, end in spans:
        behind = start
        for first, last in blocks:
            if start <= first < end:
                pieces.append(max(0, first - behind))
                behind = last
        pieces.append(max(0, end - behind))
    return pieces
