"""The map that GNU ld writes (``-Wl,-Map=firmware.map``): which object file and library each address comes from."""

import re
from bisect import bisect_right
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from emu.elf import Section
from emu.errors import InputError
from emu.reading import read_file

_BEGINS = "Linker script and memory map"
_OUTPUT = re.compile(r"^(\S+)\s+0x([0-9a-f]+)\s+0x([0-9a-f]+)")
_INPUT = re.compile(r"^ (\S+)\s+0x([0-9a-f]+)\s+0x([0-9a-f]+)\s+(\S.*)$")
_NAME_ALONE = re.compile(r"^ ?[^\s*(]\S*$")
_ARCHIVE = re.compile(r"^(.*)\((.*)\)$")


class Origin(NamedTuple):
    """The object file that an input section comes from."""

    start: int
    end: int
    file: str
    """The object file's path, or its name in the library."""
    archive: str | None
    """The library's name; None if the object file is in no library."""


class LinkerMap:
    """The input sections of a link, by address."""

    def __init__(self, origins: Iterable[Origin], sections: dict[str, tuple[int, int]]):
        self._origins = sorted(origins)
        self._starts = [origin.start for origin in self._origins]
        self._sections = sections

    def origin_of(self, address: int) -> Origin | None:
        """Return where the byte at ``address`` comes from, or None if the map does not tell."""
        index = bisect_right(self._starts, address) - 1
        return self._origins[index] if index >= 0 and address < self._origins[index].end else None

    def is_of(self, sections: Iterable[Section]) -> bool:
        """Return whether the map is of the ELF with ``sections``: each has the same address and size there."""
        return all(self._sections.get(section.name) == (section.address, section.size) for section in sections)


def read_map(path: Path) -> LinkerMap:
    """Read a linker's map; raises InputError if the file cannot be read, or is not a map of GNU ld."""
    return read_file(path, "a linker's map of GNU ld", _parse)


def _parse(data: bytes) -> LinkerMap:
    _, begins, text = data.decode(errors="replace").partition(_BEGINS)
    if not begins:
        raise InputError(f'it has no line "{_BEGINS}"; let GNU ld write it with -Wl,-Map=firmware.map')
    origins: list[Origin] = []
    sections: dict[str, tuple[int, int]] = {}
    name = ""
    for line in text.splitlines():
        whole = f"{name} {line.strip()}" if name else line  # a long name has a line of its own
        name = line if _NAME_ALONE.match(line) else ""
        if name:
            continue
        if match := _OUTPUT.match(whole):
            sections[match[1]] = (int(match[2], 16), int(match[3], 16))
        elif match := _INPUT.match(whole):
            start, size = int(match[2], 16), int(match[3], 16)
            if size and match[1] != "*fill*":
                origins.append(_origin(start, start + size, match[4].strip()))
    return LinkerMap(origins, sections)


def _origin(start: int, end: int, file: str) -> Origin:
    member = _ARCHIVE.match(file)
    return Origin(start, end, member[2], Path(member[1]).name) if member else Origin(start, end, file, None)
