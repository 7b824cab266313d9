"""MSUB.S on Renode's Xtensa, which gives a * b - r and not r - a * b: firmware is made to take a detour there.

In Renode's memory alone, J replaces each MSUB.S: both have three bytes. J leads to a detour in memory that the platform
adds, where NEG.S puts the sign right. A word there counts what the detours retire beyond the firmware's instructions,
so counts stay the firmware's. A detour keeps two address registers in EXCSAVE6 and EXCSAVE7, which only debuggers and
interrupts that cannot be masked use.

A zero-overhead loop goes on only after the instruction before its end, and never after a jump to its end. So a detour
for a loop's last instruction counts the loop itself.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from emu.architectures.xtensa import encoding
from emu.architectures.xtensa.instructions import instruction_size, is_msub, loop_end
from emu.errors import MissingToolError
from emu.firmware import Extent, Firmware
from emu.machines.renode.image import Detour, Image, Patch, as_linked
from emu.targets import Board, Region

_BYTES = 3
_PAGE = 4096
_A2, _A3 = 2, 3
_LITERAL_BYTES = 4
"""An area of detours begins with the counter's address."""
_COUNTERS_PAGE = 0x7FFF_F000
"""The counter is in this page, or in the next free one below."""
_SLOT = 64
"""The bytes that are set apart for each detour."""
_ADDED, _ADDED_AT_LOOP_END = 11, 15
"""Instructions of a detour beyond the one that it replaces."""


@dataclass(frozen=True)
class _Site:
    """An MSUB.S; ``loop_start`` is where its loop begins if the loop ends after it."""

    address: int
    code: bytes
    loop_start: int | None


@dataclass
class _Area:
    """Room for detours in ``extent``; they fill it from its end or from its start."""

    extent: Extent
    from_end: bool
    added: bool
    """Whether the board has no memory there."""
    used: int = 0

    def next_slot(self) -> int | None:
        """Return where the next detour would be; None if the area is full."""
        first, taken = self.extent.start + _LITERAL_BYTES, self.used * _SLOT
        if first + taken + _SLOT > self.extent.end:
            return None
        return self.extent.end - taken - _SLOT if self.from_end else first + taken


def with_right_signs(firmware: Firmware, why: str) -> Image:
    """Return the firmware with a detour for each MSUB.S; ``why`` says what Renode computes.

    Raises MissingToolError if a place cannot be made right.
    """
    sites = _sites(firmware)
    if not sites:
        return as_linked(firmware)
    areas, counter = _areas(firmware, len(sites)), _counters_page(firmware.board)
    codes: list[tuple[int, bytes]] = []
    detours, jumps = [], {}
    for site in sorted(sites, key=lambda each: each.address, reverse=True):
        area, start = _room(firmware, areas, site)
        code = _detour(site, start, area.extent.start)
        area.used += 1
        codes.append((start, code))
        detours.append(Detour(Extent(start, start + len(code)), site.address))
        jumps[site.address] = (site.code, encoding.jump(site.address, start))
    used = [area for area in areas if area.used]
    words = [(area.extent.start, counter.to_bytes(4, "little")) for area in used]
    contents, patches = _patched(firmware, jumps)
    return Image(
        contents=(*contents, *words, (counter, bytes(4)), *codes),
        added_memory=(Extent(counter, counter + _PAGE), *(area.extent for area in used if area.added)),
        counter=counter,
        patches=tuple(patches),
        detours=tuple(detours),
        why=f"{len(sites)} MSUB.S of the firmware run as MSUB.S and NEG.S, in memory that emu adds: {why}. "
        "Instructions are counted without what this adds. Firmware that reads its own code reads a jump there",
    )


# ---- where they are --------------------------------------------------------------------------------------------------


def _sites(firmware: Firmware) -> list[_Site]:
    """Return every MSUB.S; raises MissingToolError if code cannot be told from data."""
    ends: dict[int, set[int]] = {}
    found: dict[int, bytes] = {}
    for address, code in _instructions(firmware):
        end = loop_end(code, address)
        if end is not None:
            ends.setdefault(end, set()).add(address + _BYTES)
        if is_msub(code):
            found[address] = code
    for address in found:
        if len(ends.get(address + _BYTES, ())) > 1:
            raise MissingToolError(_cannot(firmware, address, "two loops end after it"))
    return [_Site(address, code, next(iter(ends.get(address + _BYTES, ())), None)) for address, code in found.items()]


def _instructions(firmware: Firmware) -> Iterator[tuple[int, bytes]]:
    for start, code in firmware.code():
        found = [(at, code[at - start :][:_BYTES]) for at in firmware.architecture.instruction_addresses(code, start)]
        last, end = found[-1][0], start + len(code)
        if last + instruction_size(found[-1][1][0]) != end:
            wrong = next((address for address, each in found if is_msub(each)), None)
            if wrong is not None:
                raise MissingToolError(_cannot(firmware, wrong, "the ELF does not tell code from data there"))
        yield from found


def _cannot(firmware: Firmware, address: int, why: str) -> str:
    place = firmware.locate(address)
    return (
        f"Renode cannot run this firmware right: MSUB.S at {address:#010x} (function {place.function}) gives a * b - r "
        f"in Renode, and r - a * b is right; emu cannot put that right, because {why}. Use the board's QEMU target"
    )


# ---- where their detours are -----------------------------------------------------------------------------------------


def _areas(firmware: Firmware, sites: int) -> list[_Area]:
    """Return the room for detours: pages added before the board's code memories, then what is free in these."""
    size = -(-(sites * _SLOT + _LITERAL_BYTES) // _PAGE) * _PAGE
    memories = [each for each in firmware.board.memory if each.executable and each.kind == "memory"]
    before = [Extent(each.start - size, each.start) for each in memories]
    left = [Extent(_end_of_contents(firmware, each), each.end) for each in memories if not each.writable]
    free = [_Area(each, from_end=True, added=True) for each in before if _is_free(firmware.board, each)]
    return free + [_Area(each, from_end=False, added=False) for each in left]


def _counters_page(board: Board) -> int:
    pages = range(_COUNTERS_PAGE, 0, -_PAGE)
    return next(page for page in pages if _is_free(board, Extent(page, page + _PAGE)))


def _is_free(board: Board, extent: Extent) -> bool:
    parts = [(part.start, part.start + part.size) for part in (*board.memory, *board.peripherals)]
    return extent.start >= 0 and not any(extent.start < end and start < extent.end for start, end in parts)


def _end_of_contents(firmware: Firmware, region: Region) -> int:
    ends = [segment.load_address + len(segment.data) for segment in firmware.segments]
    ends += [section.end for section in firmware.sections]
    return -(-max((end for end in ends if region.start < end <= region.end), default=region.start) // 4) * 4


def _room(firmware: Firmware, areas: list[_Area], site: _Site) -> tuple[_Area, int]:
    """Return the first area within the reach of a jump, and where in it the detour begins."""
    for area in areas:
        start = area.next_slot()
        if (
            start is not None
            and encoding.reaches(site.address, start)
            and encoding.reaches(start + _SLOT, site.address)
        ):
            return area, start
    raise MissingToolError(_cannot(firmware, site.address, "no free memory is within the 128 KB that a jump reaches"))


def _patched(firmware: Firmware, jumps: dict[int, tuple[bytes, bytes]]) -> tuple[list[tuple[int, bytes]], list[Patch]]:
    """Return the segments with the jumps, and each place of a jump: where it runs, and where it is copied from."""
    contents, patches = [], []
    for segment in firmware.segments:
        data = bytearray(segment.data)
        for address, (linked, loaded) in jumps.items():
            at = address - segment.address
            if 0 <= at < len(data):
                data[at : at + _BYTES] = loaded
                places = {address, segment.load_address + at}
                patches += [Patch(place, linked, loaded) for place in places]
        if data:
            contents.append((segment.load_address, bytes(data)))
    return contents, patches


# ---- what they do ----------------------------------------------------------------------------------------------------


def _detour(site: _Site, start: int, literal: int) -> bytes:
    """Return the code at ``start`` for an MSUB.S; the word at ``literal`` is the counter's address."""
    negated = site.code[1] >> 4
    added = _ADDED if site.loop_start is None else _ADDED_AT_LOOP_END
    code = site.code + encoding.fpu("neg", negated, negated)
    code += encoding.write_special("excsave6", _A2) + encoding.write_special("excsave7", _A3)
    code += encoding.load_literal(_A2, start + len(code), literal)
    code += encoding.load(_A3, _A2, 0) + encoding.add(_A3, _A3, added) + encoding.store(_A3, _A2, 0)
    restore = encoding.read_special("excsave7", _A3) + encoding.read_special("excsave6", _A2)
    if site.loop_start is not None:
        again = encoding.add(_A3, _A3, -1) + encoding.write_special("lcount", _A3) + restore
        code += encoding.read_special("lcount", _A3) + encoding.branch_if_zero(_A3, len(again) + _BYTES) + again
        code += encoding.jump(start + len(code), site.loop_start)
        code += 2 * encoding.NOP  # so that both ways retire as many instructions
    code += restore
    return code + encoding.jump(start + len(code), site.address + _BYTES)
