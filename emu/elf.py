"""Read an ELF: check its header, and read its segments, sections and symbols. Other modules interpret them."""

import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from elftools.elf.descriptions import describe_e_machine
from elftools.elf.elffile import ELFFile

from emu.errors import InputError
from emu.names import readable

_MAGIC = b"\x7fELF"
_STACK_RESERVATION = ".stack"
_RESERVATIONS = ("._user_heap_stack", ".heap")
_KNOWN_MACHINES = {
    "EM_ARM": "Arm",
    "EM_XTENSA": "Xtensa",
    "EM_X86_64": "x86-64",
    "EM_386": "x86",
    "EM_AARCH64": "64-bit Arm",
    "EM_RISCV": "RISC-V",
}

_SHF_WRITE, _SHF_ALLOC, _SHF_EXECINSTR, _SHF_TLS = 1, 2, 4, 0x400
_SYMBOL_FIELDS = ("name", "value", "size", "info", "section")
_SYMBOL = {
    32: np.dtype(
        [("name", "<u4"), ("value", "<u4"), ("size", "<u4"), ("info", "u1"), ("other", "u1"), ("section", "<u2")]
    ),
    64: np.dtype(
        [("name", "<u4"), ("info", "u1"), ("other", "u1"), ("section", "<u2"), ("value", "<u8"), ("size", "<u8")]
    ),
}
"""Names by the bits of an address."""
NOTYPE, OBJECT, FUNCTION = 0, 1, 2
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
            self.file = ELFFile(io.BytesIO(contents))
            self._check_header(contents, machine, target)
            self.entry: int = self.file.header["e_entry"]
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

    # ---- reading -----------------------------------------------------------------------------------------------------

    def _check_header(self, contents: bytes, machine: str, target: str) -> None:
        header = self.file.header
        cpu = _cpu_name(machine)
        if header["e_machine"] != machine:
            raise InputError(f"{self.path} is for {_cpu_name(header['e_machine'])}; {target} runs {cpu}")
        if not self.file.little_endian:
            raise InputError(f"{self.path} is big-endian; {target} runs little-endian {cpu}")
        if header["e_type"] == "ET_DYN":
            raise InputError(f"{self.path} is position-independent: link it with -no-pie, as an executable")
        if header["e_type"] != "ET_EXEC":
            raise InputError(f"{self.path} is not linked: its ELF type is {header['e_type']}, not an executable")
        tables = (
            (header["e_phoff"], header["e_phnum"] * header["e_phentsize"]),
            (header["e_shoff"], header["e_shnum"] * header["e_shentsize"]),
        )
        extents = [*tables] if self._inside(contents, tables) else None
        if extents is not None:
            extents += [(s["p_offset"], s["p_filesz"]) for s in self.file.iter_segments()]
            extents += [
                (s["sh_offset"], s["sh_size"]) for s in self.file.iter_sections() if s["sh_type"] != "SHT_NOBITS"
            ]
        if extents is None or not self._inside(contents, extents):
            raise InputError(f"{self.path} is truncated: its headers point past the end of the file")
        if sum(size for _, size in extents) > _MOST_TIMES_READ * len(contents):
            raise InputError(f"{self.path} is a corrupt ELF: many of its parts are the same bytes")

    @staticmethod
    def _inside(contents: bytes, extents: "tuple[tuple[int, int], ...] | list[tuple[int, int]]") -> bool:
        return all(offset + size <= len(contents) for offset, size in extents)

    def _read_segments(self) -> Iterator[Segment]:
        for segment in self.file.iter_segments("PT_LOAD"):
            if segment["p_memsz"]:
                yield Segment(segment["p_paddr"], segment["p_vaddr"], segment.data(), segment["p_memsz"])

    def _read_sections(self) -> Iterator[Section]:
        for section in self.file.iter_sections():
            flags = section["sh_flags"]
            nobits = section["sh_type"] == "SHT_NOBITS"
            if flags & _SHF_ALLOC and section["sh_size"] and not (flags & _SHF_TLS and nobits):
                data = None if nobits else section.data()
                writable, executable = bool(flags & _SHF_WRITE), bool(flags & _SHF_EXECINSTR)
                start, size = section["sh_addr"], section["sh_size"]
                reservation = nobits and self._is_reservation(section.name, start, start + size)
                yield Section(section.name, start, size, data, writable, executable, reservation)

    def _is_reservation(self, name: str, start: int, end: int) -> bool:
        """Return whether a section without data only reserves room; an array in a heap's section is a variable.

        Startup code in assembly gives the reserved room a name and a size, but not the type of a variable.
        """
        holds_variables = any(s.kind == OBJECT and s.size and start <= s.address < end for s in self.symbols)
        return name.startswith(_STACK_RESERVATION) or (name.startswith(_RESERVATIONS) and not holds_variables)

    def _read_symbols(self) -> Iterator[Symbol]:
        table = self.file.get_section_by_name(".symtab")
        if table is None:
            return
        names = self.file.get_section(table["sh_link"]).data()
        symbols = np.frombuffer(table.data(), _SYMBOL[self.file.elfclass])
        room = _MOST_TIMES_READ * len(names)
        for name, value, size, info, section in symbols[[*_SYMBOL_FIELDS]].tolist():
            text = names[name : names.index(b"\0", name)].decode("utf-8", "replace")
            room -= len(text)
            if room < 0:
                raise InputError(f"{self.path} is a corrupt ELF: many of its symbols' names are the same bytes")
            yield Symbol(text, value, size, info & 15, info >> 4, section)

    def _read_toolchain(self) -> str | None:
        section = self.file.get_section_by_name(".comment")
        if section is None:
            return None
        names = dict.fromkeys(part.decode("utf-8", "replace") for part in section.data().split(b"\0") if part)
        return ", ".join(names) or None


def _cpu_name(machine: str) -> str:
    return _KNOWN_MACHINES.get(machine) or describe_e_machine(machine)
