"""Read an ELF: check its header, and read its segments, sections and symbols. Other modules interpret them."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from emu.elf_headers import NOBITS, SectionHeader, read_headers
from emu.errors import InputError
from emu.names import readable

_MAGIC = b"\x7fELF"
_STACK_RESERVATION = ".stack"
_RESERVATIONS = ("._user_heap_stack", ".heap")
_MACHINES = {
    "EM_386": (3, "x86"),
    "EM_ARM": (40, "Arm"),
    "EM_X86_64": (62, "x86-64"),
    "EM_XTENSA": (94, "Xtensa"),
    "EM_AARCH64": (183, "64-bit Arm"),
    "EM_RISCV": (243, "RISC-V"),
}
"""Each processor as ELF names it: its number there, and its name for people."""
_TYPES = {0: "ET_NONE", 1: "ET_REL", 2: "ET_EXEC", 3: "ET_DYN", 4: "ET_CORE"}
_LOADED = 1  # PT_LOAD

_SHF_WRITE, _SHF_ALLOC, _SHF_EXECINSTR, _SHF_TLS = 1, 2, 4, 0x400
NOTYPE, OBJECT, FUNCTION, FILE = 0, 1, 2, 4
"""The kinds of symbols that matter."""
GLOBAL = 1
_UNDEFINED, _ABSOLUTE = 0, 0xFFF1
_MOST_TIMES_READ = 64
"""How often each byte may be read, on average. Some overlap is normal: sections are in segments, and names end in
other names. Thousands of headers for one piece of the file would need gigabytes."""


@dataclass(frozen=True)
class Segment:
    """Bytes that are in memory before the firmware starts; a programmer writes them to ``load_address``."""

    load_address: int
    address: int
    data: bytes
    memory_size: int


@dataclass(frozen=True)
class Section:
    """A part of the ELF that has an address at run time."""

    name: str
    address: int
    size: int
    data: bytes | None
    """None if the section only reserves memory."""
    writable: bool
    executable: bool
    reservation: bool
    """Whether the section only reserves room for the stack or the heap, which are measured instead."""

    @property
    def end(self) -> int:
        """The first address after the section."""
        return self.address + self.size


@dataclass(frozen=True)
class Symbol:
    """A name for an address; ``kind`` is the ELF symbol type, ``section`` the index of its section.

    ``name`` is the linker's name, by which a symbol is looked up.
    """

    name: str
    address: int
    size: int
    kind: int
    binding: int
    section: int

    @property
    def readable(self) -> str:
        """The name for people: C++ and Rust names are demangled."""
        return readable(self.name)

    @property
    def defined(self) -> bool:
        """Whether the symbol is in this ELF, and not a reference to another ELF."""
        return self.section != _UNDEFINED

    @property
    def absolute(self) -> bool:
        """Whether the symbol is a number, such as a size in the linker script, and not a place in a section."""
        return self.section == _ABSOLUTE

    @property
    def end(self) -> int:
        """The first address after the named object."""
        return self.address + self.size


def is_elf(path: Path) -> bool:
    """Return whether ``path`` is an ELF; its name (.elf, .axf, .out, no ending) does not matter."""
    try:
        with path.open("rb") as file:
            return file.read(len(_MAGIC)) == _MAGIC
    except OSError:
        return False


class Elf:
    """A linked ELF for one kind of processor.

    ``machine`` is the processor as ELF names it (``EM_ARM``), and ``target`` is the target's name for messages. Raises
    InputError (one line) if ``contents`` is not an ELF, damaged, not linked, or for another processor.
    """

    def __init__(self, path: Path, contents: bytes, machine: str, target: str):
        self.path = path
        if contents[:4] != _MAGIC:
            raise InputError(f"{path} is not an ELF file")
        try:
            self._headers = read_headers(contents)
            self._check_header(contents, machine, target)
            self.entry = self._headers.entry
            self.segments = tuple(self._read_segments())
            self.symbols = tuple(self._read_symbols())
            self.sections = tuple(self._read_sections())
            self.toolchain = self._read_toolchain()
        except InputError:
            raise
        except Exception as error:  # raised if parts contradict each other
            raise InputError(f"{path} is a corrupt ELF: its parts contradict each other") from error
        by_binding = sorted(self.symbols, key=lambda symbol: symbol.binding)  # global symbols win
        self._by_name = {symbol.name: symbol for symbol in by_binding if symbol.defined}

    def symbol(self, name: str) -> Symbol | None:
        """Return the symbol called ``name``, or None."""
        return self._by_name.get(name)

    def contents_of(self, name: str) -> bytes | None:
        """Return the bytes of the section ``name``, with or without an address; None if there is no such section."""
        section = self._section_called(name)
        return None if section is None else self._data(section)

    # ---- reading -----------------------------------------------------------------------------------------------------

    def _check_header(self, contents: bytes, machine: str, target: str) -> None:
        headers = self._headers
        number, cpu = _MACHINES.get(machine, (None, machine))
        if headers.machine != number:
            raise InputError(f"{self.path} is for {_cpu_name(headers.machine)}; {target} runs {cpu}")
        if not headers.little_endian:
            raise InputError(f"{self.path} is big-endian; {target} runs little-endian {cpu}")
        kind = _TYPES.get(headers.type, str(headers.type))
        if kind == "ET_DYN":
            raise InputError(f"{self.path} is position-independent: link it with -no-pie, as an executable")
        if kind != "ET_EXEC":
            raise InputError(f"{self.path} is not linked: its ELF type is {kind}, not an executable")
        extents = [
            *headers.tables,
            *((segment.offset, segment.file_size) for segment in headers.segments),
            *((section.offset, section.size) for section in headers.sections if section.type != NOBITS),
        ]
        if headers.cut or any(offset + size > len(contents) for offset, size in extents):
            raise InputError(f"{self.path} is truncated: its headers point past the end of the file")
        if sum(size for _, size in extents) > _MOST_TIMES_READ * len(contents):
            raise InputError(f"{self.path} is a corrupt ELF: many of its parts are the same bytes")

    def _read_segments(self) -> Iterator[Segment]:
        for segment in self._headers.segments:
            if segment.type == _LOADED and segment.memory_size:
                data = self._headers.contents[segment.offset : segment.offset + segment.file_size]
                yield Segment(segment.load_address, segment.address, data, segment.memory_size)

    def _read_sections(self) -> Iterator[Section]:
        for section in self._headers.sections:
            flags, nobits = section.flags, section.type == NOBITS
            if flags & _SHF_ALLOC and section.size and not (flags & _SHF_TLS and nobits):
                name = self._headers.name_of(section)
                data = None if nobits else self._data(section)
                writable, executable = bool(flags & _SHF_WRITE), bool(flags & _SHF_EXECINSTR)
                start, size = section.address, section.size
                reservation = nobits and self._is_reservation(name, start, start + size)
                yield Section(name, start, size, data, writable, executable, reservation)

    def _is_reservation(self, name: str, start: int, end: int) -> bool:
        """Return whether a section without data only reserves room; an array in a heap's section is a variable.

        Startup code in assembly gives the reserved room a name and a size, but not the type of a variable.
        """
        holds_variables = any(s.kind == OBJECT and s.size and start <= s.address < end for s in self.symbols)
        return name.startswith(_STACK_RESERVATION) or (name.startswith(_RESERVATIONS) and not holds_variables)

    def _read_symbols(self) -> Iterator[Symbol]:
        table = self._section_called(".symtab")
        if table is None:
            return
        names = self._data(self._headers.sections[table.link])
        room = _MOST_TIMES_READ * len(names)
        for name, value, size, info, section in self._headers.symbols(self._data(table)):
            text = names[name : names.index(b"\0", name)].decode("utf-8", "replace")
            room -= len(text)
            if room < 0:
                raise InputError(f"{self.path} is a corrupt ELF: many of its symbols' names are the same bytes")
            yield Symbol(text, value, size, info & 15, info >> 4, section)

    def _read_toolchain(self) -> str | None:
        comment = self.contents_of(".comment")
        if comment is None:
            return None
        names = dict.fromkeys(part.decode("utf-8", "replace") for part in comment.split(b"\0") if part)
        return ", ".join(names) or None

    def _section_called(self, name: str) -> SectionHeader | None:
        return next((each for each in self._headers.sections if self._headers.name_of(each) == name), None)

    def _data(self, section: SectionHeader) -> bytes:
        start, size = section.offset, 0 if section.type == NOBITS else section.size
        return self._headers.contents[start : start + size]


def _cpu_name(number: int) -> str:
    return next((name for known, name in _MACHINES.values() if known == number), f"ELF machine {number}")
