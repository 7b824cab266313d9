"""Stack and heap over instructions: their maximum in each of several hundred intervals."""

from emu.native import FIRST_INTERVAL, INTERVALS  # the stack's numbers, so that lengths are multiples of each other
from emu.record import Timeline


class Maxima:
    """The largest value of a level in each interval; when there are too many intervals, their length doubles."""

    def __init__(self) -> None:
        self._length = FIRST_INTERVAL
        self._maxima = [0]
        self._level = 0

    def note(self, instructions: int, level: int) -> None:
        """Note that the level changed after ``instructions`` instructions."""
        self._reach(instructions // self._length)
        self._level = level
        if level > self._maxima[-1]:
            self._maxima[-1] = level

    def _reach(self, index: int) -> None:
        while index >= INTERVALS:
            self._double()
            index //= 2
        self._maxima += [self._level] * (index + 1 - len(self._maxima))

    def _double(self) -> None:
        if len(self._maxima) % 2:
            self._maxima.append(self._level)
        self._maxima = list(map(max, self._maxima[::2], self._maxima[1::2]))
        self._length *= 2

    def series(self, length: int, count: int) -> list[int]:
        """Return ``count`` intervals of ``length`` instructions; ``length`` is not less than the present one."""
        while self._length < length:
            self._double()
        return (self._maxima + [self._level] * (count - len(self._maxima)))[:count]


def measure_timeline(length: int, lowest: list[int], stack_top: int, heap: Maxima | None) -> Timeline:
    """Return the timeline; ``lowest`` has the lowest SP of each interval of ``length`` instructions."""
    return Timeline(
        interval_instructions=length,
        stack_bytes=[stack_top - sp for sp in lowest],
        heap_bytes=heap.series(length, len(lowest)) if heap is not None else None,
    )
