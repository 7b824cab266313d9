"""Repetitions in a call path: one function that calls itself repeatedly, or several that call each other in turn."""

from collections.abc import Hashable, Sequence
from typing import NamedTuple

FEWEST = 8
"""The fewest repetitions that are folded; fewer are easier to read one by one."""
_LONGEST_CYCLE = 16
LOOKED_AT = FEWEST * _LONGEST_CYCLE
"""The number of innermost elements that ``innermost_cycle`` looks at."""


class Repetition(NamedTuple):
    """A part of a sequence: ``length`` elements from ``start`` on that follow each other ``times`` times."""

    start: int
    length: int
    times: int


def repetitions(elements: Sequence[Hashable]) -> list[Repetition]:
    """Split a sequence into repetitions, in their order; an element that is not repeated has length 1 and times 1."""
    found: list[Repetition] = []
    start = 0
    while start < len(elements):
        lengths = range(1, _LONGEST_CYCLE + 1)
        times, length = next(
            ((times, length) for length in lengths if (times := _times(elements, start, length)) >= FEWEST), (1, 1)
        )
        found.append(Repetition(start, length, times))
        start += length * times
    return found


def _times(elements: Sequence[Hashable], start: int, length: int) -> int:
    """Return how often the ``length`` elements from ``start`` on follow each other."""
    end = start + length
    while end < len(elements) and elements[end] == elements[end - length]:
        end += 1
    return (end - start) // length


def innermost_cycle(path: Sequence[Hashable]) -> int:
    """Return the length of the cycle with which a path begins ``FEWEST`` times, innermost element first; 0 if none."""
    for length in range(1, _LONGEST_CYCLE + 1):
        if len(path) < length * FEWEST:
            return 0
        whole = path[: length * FEWEST]
        if path[0] == path[length] and whole[length:] == whole[:-length]:
            return length
    return 0
