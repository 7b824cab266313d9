"""Firmware: an ELF seen through its segments, sections, symbols, line table and unwind information."""

import hashlib
import io
import struct
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from elftools.dwarf.callframe import FDE
from elftools.elf.descriptions import describe_e_machine
from elftools.elf.elffile import ELFFile

from emu.debug_info import CORRUPT, CodeAtZero, DebugInfo
from emu.errors import InputError
from emu.record import Location
from emu.targets import Board, Region, Target

_ELF_MAGIC = b"\x7fELF"
_MACHINES = {"armv7em": ("EM_ARM", "Arm")}
_VECTOR_SECTIONS = (".isr_vector", ".vectors", ".isr_vectors", ".intvecs", ".vector_table", ".isr")
_VECTOR_SYMBOLS = ("g_pfnVectors", "__Vectors", "__isr_vector", "__vectors", "__vector_table", "vector_table")
_STACK_LIMIT_SYMBOLS = ("__stack_limit", "_stack_limit", "__StackLimit")
_STACK_RESERVATION = ".stack"
_RESERVATIONS = ("._user_heap_stack", ".heap")
_NOT_STARTED = "vector table: a stack pointer in RAM and the Thumb address of the reset handler"

_SHF_ALLOC, _SHF_EXECINSTR, _SHF_TLS = 2, 4, 0x400
_SYMBOL = np.dtype(
    [("name", "<u4"), ("value", "<u4"), ("size", "<u4"), ("info", "u1"), ("other", "u1"), ("section", "<u2")]
)
_NOTYPE, _OBJECT, _FUNCTION = 0, 1, 2
_GLOBAL = 1
_UNDEFINED, _ABSOLUTE = 0, 0xFFF1

MOST_ABOVE_STACK = 256
"""Bytes of an array that may lie above where SP begins in it: alignment, or the first context of a task."""


@dataclass(frozen=True)
class Segment:
    """Bytes that are in memory before the firmware starts: at ``load_address``, where a programmer writes them."""

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
    """None where the section only reserves memory."""
    executable: bool
    reservation: bool
    """Whether it only keeps room for the stack or the heap, which are measured instead."""

    @property
    def end(self) -> int:
        """The first address behind the section."""
        return self.address + self.size


@dataclass(frozen=True)
class Symbol:
    """A name for an address; ``kind`` is the ELF symbol type, ``section`` the index of its section."""

    name: str
    address: int
    size: int
    kind: int
    binding: int
    section: int

    @property
    def defined(self) -> bool:
        """Whether it is in this ELF, and no reference to another one."""
        return self.section != _UNDEFINED

    @property
    def absolute(self) -> bool:
        """Whether it is a number, such as a size that the linker script sets, and not a place in a section."""
        return self.section == _ABSOLUTE

    @property
    def end(self) -> int:
        """The first address behind what it names."""
        return self.address + self.size


@dataclass(frozen=True)
class Function:
    """Code with a name; ``end`` is the first address behind it."""

    name: str
    start: int
    end: int


def is_elf(path: Path) -> bool:
    """Return whether ``path`` is an ELF, whatever its name: .elf, .axf, .out, or without an ending."""
    try:
        with path.open("rb") as file:
            return file.read(len(_ELF_MAGIC)) == _ELF_MAGIC
    except OSError:
        return False


class Firmware:
    """An ELF for a board. Everything beyond headers and symbols is read when it is first asked for."""

    def __init__(self, path: Path, contents: bytes, target: Target):
        self.path = path
        self.board: Board = target.board
        self.sha256 = hashlib.sha256(contents).hexdigest()
        try:
            self._elf = ELFFile(io.BytesIO(contents))
            self._check_header(contents, target)
            self.segments = tuple(self._read_segments())
            self.symbols = tuple(self._read_symbols())
            self.sections = tuple(self._read_sections())
            self.toolchain = self._read_toolchain()
        except CORRUPT as error:
            raise InputError(f"{path} is a corrupt ELF: {error}") from error
        self._check_addresses(target)
        self.vector_table, self.initial_sp, reset = self._read_vectors()
        self.reset_pc = reset & ~1

    @classmethod
    def load(cls, path: Path, target: Target) -> "Firmware":
        """Read the ELF at ``path`` for ``target``.

        Raises InputError, in one line, where the file is missing, no ELF, damaged, not linked, for another CPU, or
        placed outside the board's memory.
        """
        try:
            contents = path.read_bytes()
        except OSError as error:
            raise InputError(f"{path}: {error.strerror}") from error
        if contents[:4] != _ELF_MAGIC:
            raise InputError(f"{path} is not an ELF file")
        return cls(path, contents, target)

    # ---- sizes -------------------------------------------------------------------------------------------------------

    @cached_property
    def flash_bytes(self) -> int:
        """Bytes that a programmer writes to memory that firmware cannot write: code, constants, initial data."""
        return sum(self.static_bytes_in(region) for region in self.board.memory if not region.writable)

    @property
    def static_ram_bytes(self) -> int:
        """Allocated bytes in RAM: data, bss, and code that runs from RAM.

        The mailbox is left out, and so is what only reserves room for the stack that the firmware starts on and for
        the heap: those are measured. Stacks that the firmware changes to later are data like any other.
        """
        return sum(self.static_bytes_in(region) for region in self.board.ram)

    def static_bytes_in(self, region: Region) -> int:
        """Return the part of ``static_ram_bytes``, or of ``flash_bytes``, that begins in ``region``."""
        if not region.writable:
            return sum(len(segment.data) for segment in self.segments if segment.load_address in region)
        return sum(
            section.size - self._stack_bytes_in(section)
            for section in self._ram_sections
            if section.address in region and not section.reservation and not section.name.startswith(".mailbox")
        )

    def is_static(self, address: int) -> bool:
        """Return whether ``static_ram_bytes`` counts the byte at ``address``."""
        inside = any(s.address <= address < s.end and not s.reservation for s in self._ram_sections)
        return inside and not (self.stack_is_reserved and self._stack_start <= address < self.initial_sp)

    def _stack_bytes_in(self, section: Section) -> int:
        if not self.stack_is_reserved:
            return 0
        return max(0, min(section.end, self.initial_sp) - max(section.address, self._stack_start))

    @property
    def mailbox_bytes(self) -> int:
        """Bytes of the section ``.mailbox``, which exists only under test."""
        return sum(self.mailbox_bytes_in(region) for region in self.board.ram)

    def mailbox_bytes_in(self, region: Region) -> int:
        """Return the part of ``mailbox_bytes`` that begins in ``region``."""
        return sum(s.size for s in self._ram_sections if s.name.startswith(".mailbox") and s.address in region)

    @cached_property
    def _ram_sections(self) -> list[Section]:
        return [section for section in self.sections if self._in_ram(section.address)]

    def _in_ram(self, address: int) -> bool:
        return any(address in region for region in self.board.ram)

    # ---- the stack ---------------------------------------------------------------------------------------------------

    @property
    def stack_region(self) -> Region:
        """The memory that the stack begins in; it grows down from ``initial_sp``, which may be the region's end."""
        return next(region for region in self.board.ram if self.initial_sp - 1 in region)

    @property
    def stack_is_reserved(self) -> bool:
        """Whether a symbol tells which memory is the stack's alone; else a heap may grow towards it."""
        return self._stack_limit_symbol is not None or self._stack_array is not None

    @property
    def _stack_start(self) -> int:
        return self.initial_sp if self.stack_limit is None else self.stack_limit

    @cached_property
    def _stack_array(self) -> Symbol | None:
        return self.stack_array(self.initial_sp)

    @cached_property
    def _stack_limit_symbol(self) -> int | None:
        symbols = [symbol for name in _STACK_LIMIT_SYMBOLS if (symbol := self.symbol(name)) is not None]
        return next((s.address for s in symbols if self.stack_region.start <= s.address <= self.initial_sp), None)

    @cached_property
    def stack_limit(self) -> int | None:
        """The lowest address that belongs to the stack that the firmware starts on.

        It is the symbol ``__stack_limit`` (or ``_stack_limit``, ``__StackLimit``); where there is none, what
        ``limit_below`` tells.
        """
        return self._stack_limit_symbol if self._stack_limit_symbol is not None else self.limit_below(self.initial_sp)

    def stack_array(self, sp: int) -> Symbol | None:
        """Return the variable that is the stack which SP is at the top of, or None."""
        return next((s for s in self._ram_objects if s.address < sp <= s.end <= sp + MOST_ABOVE_STACK), None)

    def variable_at(self, address: int) -> Symbol | None:
        """Return the variable that holds ``address``, or None."""
        return next((s for s in self._ram_objects if s.address <= address < s.end), None)

    def limit_below(self, sp: int) -> int | None:
        """Return the lowest address of a stack that begins at ``sp``; None where nothing tells.

        It is the start of the variable that the stack is, or, where it lies in no section, the end of what is allocated
        below it in the same memory.
        """
        array = self.stack_array(sp)
        if array is not None:
            return array.address
        sections = [section for section in self.sections if not section.reservation]
        if any(section.address < sp <= section.end for section in sections):
            return None
        start = next((region.start for region in self.board.ram if sp - 1 in region), sp)
        return max((s.end for s in sections if start <= s.address and s.end <= sp), default=start)

    @cached_property
    def _ram_objects(self) -> list[Symbol]:
        """The variables in sections of RAM that do not only reserve it."""
        spans = [(s.address, s.end) for s in self._ram_sections if not s.reservation]
        return [symbol for symbol in self.objects if any(start <= symbol.address < end for start, end in spans)]

    # ---- symbols -----------------------------------------------------------------------------------------------------

    @cached_property
    def _symbols_by_name(self) -> dict[str, Symbol]:
        return {symbol.name: symbol for symbol in sorted(self.symbols, key=lambda s: s.binding) if symbol.defined}

    def symbol(self, name: str) -> Symbol | None:
        """Return the symbol called ``name``, or None."""
        return self._symbols_by_name.get(name)

    @cached_property
    def objects(self) -> tuple[Symbol, ...]:
        """Every variable and constant that has a size, by address.

        GCC gives those that it leaves to the assembler (.comm) no type.
        """
        objects = (s for s in self.symbols if s.kind in (_OBJECT, _NOTYPE) and s.defined and s.size)
        return tuple(sorted(objects, key=lambda symbol: symbol.address))

    def entry_of(self, name: str) -> int | None:
        """Return the address of the first instruction of the function called ``name``, or None."""
        symbol = self.symbol(name)
        return symbol.address & ~1 if symbol is not None else None

    @cached_property
    def functions(self) -> tuple[Function, ...]:
        """Every function once, by address; code that only an assembly label names reaches to the next name."""
        named: dict[int, Symbol] = {}
        for symbol in self.symbols:
            is_function = symbol.kind == _FUNCTION and symbol.defined and not symbol.absolute
            if is_function or (symbol.kind == _NOTYPE and self._is_code(symbol)):
                start = symbol.address & ~1
                if start not in named or _preference(symbol) < _preference(named[start]):
                    named[start] = symbol
        starts = sorted(named)
        functions = []
        for start, following in zip(starts, [*starts, 1 << 32][1:], strict=True):
            symbol = named[start]
            end = start + symbol.size if symbol.size else min(following, self._section_end(start))
            functions.append(Function(symbol.name, start, end))
        return tuple(functions)

    @cached_property
    def _function_starts(self) -> list[int]:
        return [function.start for function in self.functions]

    def function_at(self, pc: int) -> Function | None:
        """Return the function that ``pc`` is in, or None."""
        index = bisect_right(self._function_starts, pc) - 1
        return self.functions[index] if index >= 0 and pc < self.functions[index].end else None

    def _is_code(self, symbol: Symbol) -> bool:
        if not symbol.defined or symbol.absolute or symbol.name.startswith(("$", ".L")) or not symbol.name:
            return False
        return any(s.executable and s.address <= symbol.address < s.end for s in self.sections) and not self._in_data(
            symbol.address
        )

    @cached_property
    def _mapping(self) -> tuple[list[int], list[str]]:
        """The mapping symbols ($t code, $d data) of the Arm ELF ABI: addresses and letters, by address."""
        marks = sorted(
            (s.address, s.name[1])
            for s in self.symbols
            if s.defined and s.name[:1] == "$" and s.name[1:2] in ("a", "t", "d")
        )
        return [address for address, _ in marks], [letter for _, letter in marks]

    def _in_data(self, address: int) -> bool:
        addresses, letters = self._mapping
        index = bisect_right(addresses, address & ~1) - 1
        return index >= 0 and letters[index] == "d"

    @cached_property
    def mapped_sections(self) -> tuple[Section, ...]:
        """The sections in which mapping symbols tell code from data."""
        addresses, letters = self._mapping
        code = [address for address, letter in zip(addresses, letters, strict=True) if letter == "t"]
        return tuple(
            section
            for section in self.sections
            if section.data is not None
            and bisect_right(code, section.end - 1) > bisect_right(code, section.address - 1)
        )

    def code(self) -> Iterator[tuple[int, bytes]]:
        """Yield the address and the bytes of each piece of Thumb code in ``mapped_sections``."""
        addresses, letters = self._mapping
        for section in self.mapped_sections:
            data = section.data or b""
            first, last = bisect_right(addresses, section.address - 1), bisect_right(addresses, section.end - 1)
            ends = [*addresses[first + 1 : last], section.end]
            for start, end, letter in zip(addresses[first:last], ends, letters[first:last], strict=True):
                if letter == "t" and end > start:
                    yield start, data[start - section.address : end - section.address]

    def _section_end(self, address: int) -> int:
        return next((s.end for s in self.sections if s.address <= address < s.end), address + 2)

    def bytes_at(self, address: int, size: int) -> bytes:
        """Return up to ``size`` bytes as they are linked to stand at ``address``; fewer where the section ends."""
        for section in self.sections:
            if section.address <= address < section.end and section.data is not None:
                return section.data[address - section.address :][:size]
        return b""

    # ---- debug information -------------------------------------------------------------------------------------------

    @cached_property
    def _debug(self) -> DebugInfo:
        return DebugInfo(self._elf, self._code_at_zero)

    @cached_property
    def _code_at_zero(self) -> CodeAtZero | None:
        """What tells the function at address 0 from what the linker has left behind there of discarded ones."""
        section = next((s for s in self.sections if s.executable and s.address == 0), None)
        if section is None:
            return None
        names = frozenset(s.name for s in self.symbols if s.defined and s.kind == _FUNCTION and s.address & ~1 == 0)
        starts = [function.start for function in self.functions if 0 < function.start < section.end]
        return CodeAtZero(
            names, frozenset([*starts, *(f.end for f in self.functions if f.end < section.end), section.end])
        )

    def locate(self, pc: int) -> Location:
        """Return function, file and line of the instruction at ``pc``; what the ELF does not tell is None."""
        function = self.function_at(pc)
        file, line = self._debug.line_at(pc)
        return Location(function=function.name if function else None, file=file, line=line)

    def declaration_of(self, function: Function) -> Location:
        """Return where ``function`` stands in the source; what the ELF does not tell is None."""
        file, line = self._debug.declaration_at(function.start)
        return Location(function=function.name, file=file, line=line)

    def unwind_entry(self, pc: int) -> FDE | None:
        """Return the ``.debug_frame`` entry that covers ``pc``, or None."""
        return self._debug.unwind_entry(pc)

    def describes_push(self, pc: int) -> bool:
        """Return whether the unwind information changes with the instruction at ``pc``: the compiler made the frame."""
        entry = self.unwind_entry(pc)
        try:
            return entry is not None and any(pc < row["pc"] <= pc + 4 for row in entry.get_decoded().table)
        except CORRUPT:
            return False

    # ---- reading -----------------------------------------------------------------------------------------------------

    def _check_header(self, contents: bytes, target: Target) -> None:
        header = self._elf.header
        machine, cpu = _MACHINES[target.board.architecture]
        if header["e_machine"] != machine:
            raise InputError(f"{self.path} is for {_cpu_name(header['e_machine'])}; {target.name} runs {cpu}")
        if not self._elf.little_endian:
            raise InputError(f"{self.path} is big-endian; {target.name} runs little-endian {cpu}")
        if header["e_type"] != "ET_EXEC":
            raise InputError(f"{self.path} is not linked: its ELF type is {header['e_type']}, not an executable")
        tables = (
            (header["e_phoff"], header["e_phnum"] * header["e_phentsize"]),
            (header["e_shoff"], header["e_shnum"] * header["e_shentsize"]),
        )
        extents = [*tables] if self._inside(contents, tables) else None
        if extents is not None:
            extents += [(s["p_offset"], s["p_filesz"]) for s in self._elf.iter_segments()]
            extents += [
                (s["sh_offset"], s["sh_size"]) for s in self._elf.iter_sections() if s["sh_type"] != "SHT_NOBITS"
            ]
        if extents is None or not self._inside(contents, extents):
            raise InputError(f"{self.path} is truncated: its headers point behind the end of the file")

    @staticmethod
    def _inside(contents: bytes, extents: "tuple[tuple[int, int], ...] | list[tuple[int, int]]") -> bool:
        return all(offset + size <= len(contents) for offset, size in extents)

    def _read_segments(self) -> Iterator[Segment]:
        for segment in self._elf.iter_segments("PT_LOAD"):
            if segment["p_memsz"]:
                yield Segment(segment["p_paddr"], segment["p_vaddr"], segment.data(), segment["p_memsz"])

    def _read_sections(self) -> Iterator[Section]:
        for section in self._elf.iter_sections():
            flags = section["sh_flags"]
            nobits = section["sh_type"] == "SHT_NOBITS"
            if flags & _SHF_ALLOC and section["sh_size"] and not (flags & _SHF_TLS and nobits):
                data = None if nobits else section.data()
                executable = bool(flags & _SHF_EXECINSTR)
                start, size = section["sh_addr"], section["sh_size"]
                reservation = nobits and self._is_reservation(section.name, start, start + size)
                yield Section(section.name, start, size, data, executable, reservation)

    def _is_reservation(self, name: str, start: int, end: int) -> bool:
        """Return whether a section without data only keeps room: an array in a heap's section is a variable.

        Startup code in assembly gives the room a name and a size, but not a variable's type.
        """
        holds_variables = any(s.kind == _OBJECT and s.size and start <= s.address < end for s in self.symbols)
        return name.startswith(_STACK_RESERVATION) or (name.startswith(_RESERVATIONS) and not holds_variables)

    def _read_symbols(self) -> Iterator[Symbol]:
        table = self._elf.get_section_by_name(".symtab")
        if table is None:
            return
        names = self._elf.get_section(table["sh_link"]).data()
        for name, value, size, info, _, section in np.frombuffer(table.data(), _SYMBOL).tolist():
            text = names[name : names.index(b"\0", name)].decode("utf-8", "replace")
            yield Symbol(text, value, size, info & 15, info >> 4, section)

    def _read_toolchain(self) -> str | None:
        section = self._elf.get_section_by_name(".comment")
        if section is None:
            return None
        names = dict.fromkeys(part.decode("utf-8", "replace") for part in section.data().split(b"\0") if part)
        return ", ".join(names) or None

    def _check_addresses(self, target: Target) -> None:
        for segment in self.segments:
            spans = [(segment.load_address, len(segment.data)), (segment.address, segment.memory_size)]
            for start, size in spans:
                if not self._on_board(start, start + size):
                    memory = ", ".join(
                        f"{r.name} {r.start:#010x}-{r.end - 1:#010x}" for r in self.board.memory if r.kind == "memory"
                    )
                    raise InputError(
                        f"{self.path} has {size} bytes at {start:#010x}, outside the memory of {target.name} ({memory})"
                    )
        if not any(segment.data for segment in self.segments):
            raise InputError(f"{self.path} has nothing to load")

    def _on_board(self, start: int, end: int) -> bool:
        while start < end:
            region = self.board.region_at(start)
            if region is None or region.kind != "memory":
                return False
            start = region.end  # a segment may run on into adjacent memory
        return True

    def _vector_tables(self) -> list[int]:
        """Return the addresses at which the vector table may be, the most likely ones first."""
        named = [symbol.address for name in _VECTOR_SYMBOLS if (symbol := self.symbol(name)) is not None]
        sections = [section.address for section in self.sections if section.name in _VECTOR_SECTIONS]
        loaded = [segment for segment in self.segments if segment.data]
        in_flash = [segment.address for segment in loaded if not self._in_ram(segment.address)]
        return list(dict.fromkeys([*named, *sections, min(in_flash or [segment.address for segment in loaded])]))

    def _holds_code(self, address: int) -> bool:
        if not self.sections:
            region = self.board.region_at(address)
            return region is not None and region.executable
        return any(section.executable and section.address <= address < section.end for section in self.sections)

    def _read_vectors(self) -> tuple[int, int, int]:
        candidates = self._vector_tables()
        for table in candidates:
            for segment in self.segments:
                offset = table - segment.address
                if 0 <= offset <= len(segment.data) - 8:
                    sp, pc = struct.unpack_from("<II", segment.data, offset)
                    if sp % 4 == 0 and self._in_ram(sp - 1) and pc & 1 and self._holds_code(pc & ~1):
                        return table, sp, pc
        looked_at = ", ".join(f"{table:#010x}" for table in candidates)
        raise InputError(f"{self.path} does not begin with a {_NOT_STARTED} (looked at {looked_at})")


def _preference(symbol: Symbol) -> tuple[object, ...]:
    """Sort key: of several names for one address the most telling first."""
    underscores = len(symbol.name) - len(symbol.name.lstrip("_"))
    return (symbol.kind != _FUNCTION, symbol.binding != _GLOBAL, not symbol.size, underscores, symbol.name)


def _cpu_name(machine: str) -> str:
    known = {
        "EM_X86_64": "x86-64",
        "EM_386": "x86",
        "EM_AARCH64": "64-bit Arm",
        "EM_XTENSA": "Xtensa",
        "EM_RISCV": "RISC-V",
    }
    return known.get(machine) or describe_e_machine(machine)
