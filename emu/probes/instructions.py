"""Retired instructions: in total, by address and by function."""

from collections import Counter
from collections.abc import Callable, Iterable

from emu.errors import EmuError
from emu.firmware import Firmware

UNNAMED = "(no symbol)"

Block = tuple[int, int, int, int]
"""A straight-line piece of code: its address, bytes and instructions, and the number of its executions."""
Memory = Callable[[int, int], bytes]
"""Takes an address and a size, and returns that many bytes of the machine's memory."""


class CodeChangedError(Exception):
    """Memory no longer holds the code that ran, so the addresses of its instructions are not known."""


class ContradictionError(EmuError):
    """Two counts of the same instructions differ: an error in emu, so exit code 70."""


def instructions_by_function(firmware: Firmware, blocks: Iterable[Block], read: Memory) -> dict[str, int]:
    """Return how many instructions each function ran, largest first.

    Raises CodeChangedError if a block reached into several functions and its code is gone, and ContradictionError.
    """
    functions: Counter[str] = Counter()
    for block in blocks:
        address, size, instructions, executions = block
        if executions == 0:
            continue
        function = firmware.function_at(address)
        if function is None or address + size <= function.end:
            functions[function.name if function else UNNAMED] += instructions * executions
            continue
        # If one function runs on into the next, each gets its own instructions.
        for at in _instructions_of(firmware, block, read):
            function = firmware.function_at(at)
            functions[function.name if function else UNNAMED] += executions
    return dict(sorted(functions.items(), key=lambda item: (-item[1], item[0])))


def executions_by_address(firmware: Firmware, blocks: Iterable[Block], read: Memory) -> Counter[int]:
    """Return how often the instruction at each address ran; the counts add up to the total.

    Raises CodeChangedError if the code of a block is gone, and ContradictionError.
    """
    counts: Counter[int] = Counter()
    for block in blocks:
        *_, executions = block
        if executions:
            counts.update(dict.fromkeys(_instructions_of(firmware, block, read), executions))
    return counts


def check_sum(total: int, what: str, parts: Iterable[int]) -> None:
    """Raise ContradictionError if the instructions by ``what`` in ``parts`` do not add up to ``total``."""
    found = sum(parts)
    if found != total:
        raise ContradictionError(f"{total} instructions ran, but those by {what} add up to {found}")


def _instructions_of(firmware: Firmware, block: Block, read: Memory) -> list[int]:
    """Return the address of each instruction of ``block``."""
    address, size, instructions, _ = block
    code = read(address, size)
    addresses = list(firmware.architecture.instruction_addresses(code, address))
    if len(addresses) == instructions:
        return addresses
    if code != firmware.bytes_at(address, size):
        raise CodeChangedError(f"the code at {address:#010x} was overwritten after it had run")
    counted = f"{instructions} instructions ran in the {size} bytes of code at {address:#010x}"
    raise ContradictionError(f"{counted}, but {len(addresses)} are there")
