"""Coverage: lines and functions that ran, and those with code that never ran."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping

from emu.firmware import Firmware
from emu.record import Coverage, CoveredFunction


def measure_coverage(firmware: Firmware, executions: Mapping[int, int]) -> Coverage:
    """Return the coverage; ``executions`` are by address."""
    most: Counter[tuple[str, int, str | None]] = Counter()  # by line and function: a line's most executed instruction
    for address in {*executions, *_code_of_functions(firmware)}:
        place = firmware.locate(address)
        if place.file is not None and place.line is not None:
            key = (place.file, place.line, place.symbol or place.function)
            most[key] = max(most[key], executions.get(address, 0))
    lines: defaultdict[str, Counter[int]] = defaultdict(Counter)
    for (file, line, _), count in most.items():
        lines[file][line] += count
    return Coverage(
        lines={file: dict(sorted(lines[file].items())) for file in sorted(lines)},
        functions=[
            CoveredFunction(
                **firmware.declaration_of(function).model_dump(),
                executions=executions.get(function.start, 0),
            )
            for function in firmware.functions
        ],
    )


def _code_of_functions(firmware: Firmware) -> Iterator[int]:
    """Yield the address of each instruction of a function, without the padding between functions."""
    for start, code in firmware.code():
        yield from (
            at
            for at in firmware.architecture.instruction_addresses(code, start)
            if firmware.function_at(at) is not None
        )
