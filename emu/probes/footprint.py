"""The functions and variables that own the bytes of a memory."""

from collections.abc import Iterator, Sequence

from emu.firmware import Firmware
from emu.record import SymbolUse
from emu.targets import Region

_MOST_SYMBOLS = 50


def largest_symbols(firmware: Firmware, regions: Sequence[Region]) -> list[SymbolUse]:
    """Return the largest symbols that ``Firmware.static_bytes_in`` counts in ``regions``, largest first."""
    uses = [
        SymbolUse(name=name, bytes=size)
        for name, address, size in _placed(firmware)
        if any(address in region for region in regions)
    ]
    return sorted(uses, key=lambda use: (-use.bytes, use.name))[:_MOST_SYMBOLS]


def _placed(firmware: Firmware) -> Iterator[tuple[str, int, int]]:
    """Yield name, address and size of each function and variable, and of each initial value."""
    sizes = {symbol.address: (symbol.readable, symbol.size) for symbol in firmware.objects}
    sizes |= {function.start: (function.name, function.end - function.start) for function in firmware.functions}
    for address, (name, size) in sizes.items():
        if _counts(firmware, address):
            yield name, address, size
        for segment in firmware.segments:
            offset = address - segment.address
            if segment.load_address != segment.address and 0 <= offset < len(segment.data):
                yield name, segment.load_address + offset, size


def _counts(firmware: Firmware, address: int) -> bool:
    """Return whether a static figure counts the symbol at ``address``."""
    if not any(address in region for region in firmware.board.ram):
        return True
    mailbox = (section for section in firmware.sections if section.name.startswith(".mailbox"))
    return firmware.is_static(address) and not any(section.address <= address < section.end for section in mailbox)
