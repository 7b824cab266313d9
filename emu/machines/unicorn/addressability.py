"""The bytes of the board's memory that firmware may access at reset, from its sections and symbols."""

import numpy as np
from numpy.typing import NDArray

from emu.architectures.access import NULL_PAGE
from emu.elf import Section
from emu.firmware import Firmware
from emu.native.unicorn.instructions import ByteState
from emu.targets import Region

_MAPPING_SYMBOL = "$"
_LONGEST_TAIL = 32
"""Bytes; a longer rest of a section may be room that the linker script reserves."""


def initial_states(firmware: Firmware, *, heap_is_followed: bool) -> list[tuple[Region, NDArray[np.uint8]]]:
    """Return each memory of the board with the ``ByteState`` of each byte after reset.

    If the allocator cannot be followed, all RAM that is not linked may belong to the heap.
    """
    states = []
    for region in firmware.board.memory:
        if region.kind != "memory":
            continue
        state = np.full(region.size, ByteState.OUTSIDE, np.uint8)
        for section in firmware.sections:
            if section.reservation:
                _fill(state, region, section.address, section.end, ByteState.HEAP)
        if firmware.stack_limit is not None:
            _fill(state, region, firmware.stack_limit, firmware.initial_sp, ByteState.BELOW_STACK)
        if region.writable and not heap_is_followed:
            state[:] = ByteState.ACCESSIBLE
        for segment in firmware.segments:  # startup code copies initial values from this memory
            end = segment.load_address + len(segment.data)
            _fill(state, region, segment.load_address, end, ByteState.ACCESSIBLE)
        for section in firmware.sections:
            if not section.reservation:
                _fill_section(state, region, section, firmware)
        states.append((region, state))
    return states


def heap_state(region: Region) -> NDArray[np.uint8]:
    """Return the ``ByteState`` of each byte of memory that belongs to the heap alone."""
    return np.full(region.size, ByteState.HEAP, np.uint8)


def defined_ranges(firmware: Firmware) -> list[tuple[int, int]]:
    """Return address and size of the RAM with values at reset: loaded data, and what the board takes as set."""
    loaded = [(segment.load_address, len(segment.data)) for segment in firmware.segments]
    return [*loaded, *((section.address, section.size) for section in kept_sections(firmware))]


def kept_sections(firmware: Firmware) -> list[Section]:
    """Return the sections that the board names in ``kept_over_reset``."""
    return [each for each in firmware.sections if each.size and each.name.startswith(firmware.board.kept_over_reset)]


def _fill(state: NDArray[np.uint8], region: Region, start: int, end: int, value: ByteState) -> None:
    first, last = max(start, region.start) - region.start, min(end, region.end) - region.start
    if first < last:
        state[first:last] = value


def _fill_section(state: NDArray[np.uint8], region: Region, section: Section, firmware: Firmware) -> None:
    value = ByteState.NULL if section.executable and section.address < NULL_PAGE else ByteState.ACCESSIBLE
    _fill(state, region, section.address, section.end, value)
    if region.writable and not section.executable:
        for start, end in _padding(firmware, section):
            _fill(state, region, start, end, ByteState.PADDING)


def _padding(firmware: Firmware, section: Section) -> list[tuple[int, int]]:
    """Return start and end of the gaps between the objects of ``section``, and after the last one if that gap is short.

    No gap follows a label without a size (from assembly or a linker script), as the bytes after the label may belong to
    it.
    """
    inside = sorted(
        (symbol.address, -symbol.size)
        for symbol in firmware.symbols
        if symbol.defined and section.address <= symbol.address < section.end and symbol.name[:1] != _MAPPING_SYMBOL
    )
    gaps, owned_to = [], None
    for address, negative_size in inside:
        if owned_to is not None and address > owned_to:
            gaps.append((owned_to, address))
        if negative_size:
            owned_to = max(owned_to or 0, address - negative_size)
        elif owned_to is not None and address >= owned_to:
            owned_to = None
    if owned_to is not None and 0 < section.end - owned_to <= _LONGEST_TAIL:
        gaps.append((owned_to, section.end))
    return gaps
