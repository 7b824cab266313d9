"""Instructions by source line and by call path."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping

from emu.firmware import Firmware
from emu.probes.instructions import UNNAMED
from emu.record import CallPath, Location, Profile


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
                )
            )
    return kept


def _place(firmware: Firmware, function: int) -> Location:
    return firmware.declaration_of(firmware.functions[function - 1]) if function else Location(function=UNNAMED)
