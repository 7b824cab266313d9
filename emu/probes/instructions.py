"""Retired instructions: in total, for each run from stop to stop, and by function."""

from collections import Counter
from collections.abc import Callable, Iterable

from emu.firmware import Firmware
from emu.record import Instructions
from emu.thumb import instruction_addresses

UNNAMED = "(no symbol)"


def measure_instructions(
    firmware: Firmware,
    total: int,
    resumes: list[int],
    blocks: Iterable[tuple[int, int, int, int]],
    read: Callable[[int, int], bytes],
) -> Instructions:
    """Return the counts.

    ``resumes`` are the instructions of each ``resume``; ``blocks`` are (address, bytes, instructions, executions) of
    the straight-line pieces of code that ran, and ``read`` returns the machine's memory.
    """
    functions: Counter[str] = Counter()
    for address, size, instructions, executions in blocks:
        if executions == 0:
            continue
        function = firmware.function_at(address)
        if function is None or address + size <= function.end:
            functions[function.name if function else UNNAMED] += instructions * executions
            continue
        # One function runs on into the next: each gets what is its own.
        for at in instruction_addresses(read(address, size), address):
            function = firmware.function_at(at)
            functions[function.name if function else UNNAMED] += executions
    return Instructions(
        per_inference=max(resumes, default=None),
        per_inference_smallest=min(resumes, default=None),
        total=total,
        by_function=dict(sorted(functions.items(), key=lambda item: (-item[1], item[0]))),
    )
