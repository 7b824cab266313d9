"""Instructions by source line and by call path."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

from emu.firmware import Firmware
from emu.probes.instructions import UNNAMED
from emu.record import CallPath, Location, Profile
from emu.repetitions import LOOKED_AT, innermost_cycle


def measure_profile(
    firmware: Firmware, executions: Mapping[int, int], call_paths: Iterable[tuple[int, int, int]], *, cut: bool
) -> Profile:
    """Return the profile; ``executions`` are by address, ``call_paths`` as ``NativeHooks.call_paths``."""
    lines: defaultdict[str, Counter[int]] = defaultdict(Counter)
    without_line = 0
    for address, count in executions.items():
        place = firmware.locate(address)
        if place.file is None or place.line is None:
            without_line += count
        else:
            lines[place.file][place.line] += count
    return Profile(
        by_line={file: dict(sorted(lines[file].items())) for file in sorted(lines)},
        without_line=without_line,
        call_paths=_call_paths(firmware, list(call_paths)),
        cut=cut,
    )


def _call_paths(firmware: Firmware, paths: list[tuple[int, int, int]]) -> list[CallPath]:
    paths, times = _without_recursion(paths)
    inclusive = [own for _, _, own in paths]
    for index in range(len(paths) - 1, 0, -1):
        inclusive[paths[index][0]] += inclusive[index]
    kept: list[CallPath] = []
    index_of: dict[int, int | None] = {0: None}
    for index, (caller, function, own) in enumerate(paths):
        if index == 0 and own:  # functions without a known caller, when there was no room for more paths
            kept.append(CallPath(function=UNNAMED, caller=None, self_instructions=own, inclusive_instructions=own))
        elif index and inclusive[index]:
            index_of[index] = len(kept)
            kept.append(
                CallPath(
                    **_place(firmware, function).model_dump(),
                    caller=index_of[caller],
                    self_instructions=own,
                    inclusive_instructions=inclusive[index],
                    times=times[index],
                )
            )
    return kept


def _without_recursion(paths: list[tuple[int, int, int]]) -> tuple[list[tuple[int, int, int]], list[int]]:
    """Return the paths with deep recursions folded, and how often each path was folded.

    A call that would repeat a cycle of calls once too often counts as the last repetition.
    """
    kept, times = [list(path) for path in paths[:1]], [1]
    places: dict[tuple[int, int], tuple[int, int]] = {}
    """The index in ``kept`` of a function by its kept caller, and the length of the cycle that it repeats, or 0."""
    index_of, rounds = [0], [0]
    for caller, function, own in paths[1:]:
        above = index_of[caller]
        if (above, function) not in places:
            outwards = [above, *_callers(kept, above)]
            cycle = innermost_cycle([function, *(kept[index][1] for index in outwards)])
            places[above, function] = (outwards[cycle - 1] if cycle else len(kept), cycle)
            if not cycle:
                kept.append([above, function, 0])
                times.append(1)
        at, cycle = places[above, function]
        kept[at][2] += own
        index_of.append(at)
        before = caller
        for _ in range(cycle - 1):
            before = paths[before][0]
        rounds.append(rounds[before] + 1 if cycle else 0)
        times[at] = max(times[at], 1 + rounds[-1])
    return [(caller, function, own) for caller, function, own in kept], times


def _callers(paths: Sequence[Sequence[int]], index: int) -> Iterator[int]:
    """Yield as many callers of a path, outwards, as a cycle can have."""
    for _ in range(LOOKED_AT):
        index = paths[index][0]
        if index == 0:
            return
        yield index


def _place(firmware: Firmware, function: int) -> Location:
    return firmware.declaration_of(firmware.functions[function - 1]) if function else Location(function=UNNAMED)
