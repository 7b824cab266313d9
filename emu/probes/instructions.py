"""Retired instructions: in total, by address and by function."""

from collections import Counter
from collections.abc import Callable, Iterable

from emu.firmware import Firmware
from emu.record import Instructions

UNNAMED = "(no symbol)"

Blocks = Iterable[tuple[int, int, int, int]]
"""Address, bytes, instructions and executions of the straight-line pieces of code that ran."""
Memory = Callable[[int, int], bytes]
"""Returns the machine's memory: so many bytes from an address."""


def measure_instructions(firmware: Firmware, total: int, blocks: Blocks, read: Memory) -> Instructions:
    """Return the counts of the whole run: ``total``, and the count of each function."""
    functions: Counter[str] = Counter()
    for address, size, instructions, executions in blocks:
        if executions == 0:
            continue
        function = firmware.function_at(address)
        if function is None or address + size <= function.end:
            functions[function.name if function else UNNAMED] += instructions * executions
            continue
        # One function runs on into the next: each gets its own instructions.
        for at in firmware.architecture.instruction_addresses(read(address, size), address):
            function = firmware.function_at(at)
            functions[function.name if function else UNNAMED] += executions
    return Instructions(
        total=total,
        by_function=dict(sorted(functions.items(), key=lambda item: (-item[1], item[0]))),
    )


def executions_by_address(firmware: Firmware, blocks: Blocks, read: Memory) -> Counter[int]:
    """Return how often the instruction at each address ran; the counts add up to the total."""
    counts: Counter[int] = Counter()
    for address, size, instructions, executions in blocks:
        if executions == 0:
            continue
        addresses = list(firmware.architecture.instruction_addresses(read(address, size), address))
        if len(addresses) == instructions:
            counts.update(dict.fromkeys(addresses, executions))
        else:  # other code has overwritten it since
            counts[address] += instructions * executions
    return counts
