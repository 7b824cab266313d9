"""Firmware: an ELF seen through its segments, sections, symbols, line table and unwind information."""

import hashlib
import json
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path

from emu.architectures import architecture_of
from emu.cache import content_key, kept
from emu.debug_info import CodeAtZero, DebugInfo, Member, UnwindEntry, pack, unpack
from emu.elf import FILE, FUNCTION, GLOBAL, NOTYPE, OBJECT, Elf, Section, Symbol
from emu.errors import InputError
from emu.names import readable
from emu.reading import read_bytes
from emu.record import Location
from emu.targets import Board, Region, Target

_EXIT_FUNCTIONS = ("_exit", "emu_exit")
_STACK_LIMIT_SYMBOLS = ("__stack_limit", "_stack_limit", "__StackLimit")

MOST_ABOVE_STACK = 256
"""The most bytes of a stack's array that may lie above its first SP: alignment, or the first context of a task."""


@dataclass(frozen=True)
class Function:
    """Code with a name; ``symbol`` is the linker's name, and ``end`` is the first address after the code."""

    symbol: str
    start: int
    end: int

    @property
    def name(self) -> str:
        """The name for people: C++ and Rust names are demangled."""
        return readable(self.symbol)


@dataclass(frozen=True)
class Extent:
    """Memory from ``start`` to before ``end``."""

    start: int
    end: int


class Firmware:
    """An ELF for a board. Headers and symbols are read at once, everything else at its first use."""

    def __init__(self, path: Path, contents: bytes, target: Target):
        self.path = path
        self.board: Board = target.board
        self.architecture = architecture_of(target.board)
        self.sha256 = hashlib.sha256(contents).hexdigest()
        self._contents = contents
        self._members: dict[tuple[str, tuple[str, ...]], Member | None] = {}
        self._elf = Elf(path, contents, self.architecture.elf_machine, target.name)
        self.segments, self.sections, self.symbols = self._elf.segments, self._elf.sections, self._elf.symbols
        self.toolchain = self._elf.toolchain
        self._check_addresses(target)
        self.start = self.architecture.find_start(self._elf, target.board)

    @classmethod
    def load(cls, path: Path, target: Target) -> "Firmware":
        """Read the ELF at ``path`` for ``target``.

        Raises InputError (one line) in each of these cases:

        - the file is missing, damaged, or not an ELF;
        - the ELF is not linked, or is for another CPU;
        - a part of it lies outside the board's memory.
        """
        return cls(path, read_bytes(path), target)

    @property
    def initial_sp(self) -> int:
        """The address after the last byte of the stack that the firmware starts on."""
        return self.start.sp

    @property
    def reset_pc(self) -> int:
        """The address of the first instruction."""
        return self.start.pc

    @cached_property
    def ram(self) -> tuple[Extent, ...]:
        """The writable memory: the board's RAM, or the program's own sections if a loader places them."""
        if self.board.memory:
            return tuple(Extent(region.start, region.end) for region in self.board.ram)
        return tuple(Extent(section.address, section.end) for section in self.sections if section.writable)

    # ---- sizes -------------------------------------------------------------------------------------------------------

    @cached_property
    def flash_bytes(self) -> int:
        """Bytes that a programmer writes to read-only memory: code, constants, initial data."""
        return sum(self.static_bytes_in(region) for region in self.board.memory if not region.writable)

    @property
    def static_ram_bytes(self) -> int:
        """Allocated bytes in RAM: data, bss, and code that runs from RAM.

        Not counted are the mailbox, and sections that only reserve room for the first stack or the heap: both are
        measured. Stacks that the firmware changes to later count as data.
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
        stack = self.reserved_stack_in(section)
        return stack.end - stack.start

    def reserved_stack_in(self, section: Section) -> Extent:
        """Return the part of ``section`` that is the stack alone; empty, at the section's start, if there is none."""
        start, end = max(section.address, self._stack_start), min(section.end, self.initial_sp)
        return (
            Extent(start, end) if self.stack_is_reserved and start < end else Extent(section.address, section.address)
        )

    @property
    def mailbox_bytes(self) -> int:
        """Bytes of the section ``.mailbox``; only firmware under test has that section."""
        return sum(self.mailbox_bytes_in(region) for region in self.board.ram)

    def mailbox_bytes_in(self, region: Region) -> int:
        """Return the part of ``mailbox_bytes`` that begins in ``region``."""
        return sum(s.size for s in self._ram_sections if s.name.startswith(".mailbox") and s.address in region)

    @cached_property
    def _ram_sections(self) -> list[Section]:
        return [section for section in self.sections if self.board.has_ram_at(section.address)]

    # ---- the stack ---------------------------------------------------------------------------------------------------

    @property
    def stack_region(self) -> Region:
        """The memory of the first stack, which grows down from ``initial_sp``; this may be the region's end."""
        return next(region for region in self.board.ram if self.initial_sp - 1 in region)

    @property
    def stack_is_reserved(self) -> bool:
        """Whether a symbol names the memory of the stack alone; if none does, a heap may grow towards the stack."""
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

        The symbol ``__stack_limit`` (or ``_stack_limit``, ``__StackLimit``) gives the address; if no such symbol
        exists, ``limit_below`` gives it.
        """
        return self._stack_limit_symbol if self._stack_limit_symbol is not None else self.limit_below(self.initial_sp)

    @property
    def stack_limit_bytes(self) -> int | None:
        """Bytes of the stack that the firmware starts on; None if they are not known."""
        return None if self.stack_limit is None else self.initial_sp - self.stack_limit

    def stack_array(self, sp: int) -> Symbol | None:
        """Return the variable that is the whole stack if SP is at its top, else None."""
        return next((s for s in self._ram_objects if s.address < sp <= s.end <= sp + MOST_ABOVE_STACK), None)

    def variable_at(self, address: int) -> Symbol | None:
        """Return the variable that holds ``address``, or None."""
        return next((s for s in self._ram_objects if s.address <= address < s.end), None)

    def limit_below(self, sp: int) -> int | None:
        """Return the lowest address of a stack that begins at ``sp``; None if the address is not known.

        If the stack is a variable, the address is the start of that variable. If the stack is in no section, the
        address is the end of the data allocated below it in the same memory.
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
        """The variables in RAM, without sections that only reserve room."""
        spans = [(s.address, s.end) for s in self._ram_sections if not s.reservation]
        return [symbol for symbol in self.objects if any(start <= symbol.address < end for start, end in spans)]

    # ---- symbols -----------------------------------------------------------------------------------------------------

    def symbol(self, name: str) -> Symbol | None:
        """Return the symbol called ``name``, or None."""
        return self._elf.symbol(name)

    @cached_property
    def objects(self) -> tuple[Symbol, ...]:
        """Every variable and constant that has a size, by address.

        Variables that GCC leaves to the assembler (.comm) have no type.
        """
        objects = (s for s in self.symbols if s.kind in (OBJECT, NOTYPE) and s.defined and s.size)
        return tuple(sorted(objects, key=lambda symbol: symbol.address))

    def entry_of(self, name: str) -> int | None:
        """Return the address of the first instruction of the function called ``name``, or None."""
        symbol = self.symbol(name)
        return self.architecture.code_address(symbol.address) if symbol is not None else None

    @cached_property
    def exits(self) -> tuple[int, ...]:
        """The first instructions of the functions that end the firmware."""
        return tuple(entry for name in _EXIT_FUNCTIONS if (entry := self.entry_of(name)) is not None)

    @cached_property
    def functions(self) -> tuple[Function, ...]:
        """Every function once, by address. Code named only by an assembly label reaches to the next name."""
        named: dict[int, Symbol] = {}
        for symbol in self.symbols:
            is_function = symbol.kind == FUNCTION and symbol.defined and not symbol.absolute
            if is_function or (symbol.kind == NOTYPE and self._is_code(symbol)):
                start = self.architecture.code_address(symbol.address)
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
        index = bisect_right(addresses, self.architecture.code_address(address)) - 1
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
        """Yield the address and the bytes of each piece of code, as far as the ELF tells code from data."""
        ranges = self.architecture.code_ranges(self._elf)
        if ranges is not None:
            yield from ((start, self.bytes_at(start, end - start)) for start, end in ranges)
            return
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
        """Return up to ``size`` bytes that are linked to ``address``; fewer if the section ends."""
        for section in self.sections:
            if section.address <= address < section.end and section.data is not None:
                return section.data[address - section.address :][:size]
        return b""

    # ---- debug information -------------------------------------------------------------------------------------------

    @cached_property
    def _debug(self) -> DebugInfo:
        at_zero = self._code_at_zero
        facts = [] if at_zero is None else [*sorted(at_zero.names), *map(str, sorted(at_zero.ends))]

        def read() -> bytes:
            from emu.dwarf import read_debug_info  # only for an ELF that is not in the cache

            return pack(read_debug_info(self._contents, at_zero))

        return unpack(self.kept("debug", ("emu.dwarf", "emu.debug_info", "elftools"), read, facts))

    def kept(self, kind: str, readers: Iterable[str], read: Callable[[], bytes], facts: Iterable[str] = ()) -> bytes:
        """Return what ``read`` finds out about this ELF, from the cache if it is there.

        The result depends on the ELF, on ``facts``, and on the source of the modules ``readers``, which this does not
        import.
        """
        specs = map(find_spec, readers)
        sources = [Path(spec.origin).read_bytes() for spec in specs if spec is not None and spec.origin is not None]
        return kept(kind, content_key([self.sha256, *sources, *facts]), read)

    @cached_property
    def _code_at_zero(self) -> CodeAtZero | None:
        """The facts that tell the function at address 0 from discarded functions with debug information there."""
        section = next((s for s in self.sections if s.executable and s.address == 0), None)
        if section is None:
            return None
        functions = (s for s in self.symbols if s.defined and s.kind == FUNCTION)
        names = frozenset(s.name for s in functions if self.architecture.code_address(s.address) == 0)
        starts = [function.start for function in self.functions if 0 < function.start < section.end]
        return CodeAtZero(
            names, frozenset([*starts, *(f.end for f in self.functions if f.end < section.end), section.end])
        )

    def locate(self, pc: int) -> Location:
        """Return function, file and line of the instruction at ``pc``; each is None if the ELF does not tell."""
        function = self.function_at(pc)
        file, line = self._debug.line_at(pc)
        return _location(function, file, line)

    def declaration_of(self, function: Function) -> Location:
        """Return file and line of ``function`` in the source; each is None if the ELF does not tell."""
        file, line = self._debug.declaration_at(function.start)
        return _location(function, file, line)

    def source_at(self, start: int) -> str | None:
        """Return the source file of the function at ``start``, by the debug information or by its ELF symbol."""
        return self._debug.declaration_at(start)[0] or self.file_of_local(start)

    def file_of_local(self, address: int) -> str | None:
        """Return the source file, without its directory, of a function or variable that only its own file knows."""
        return self._files_of_locals.get(address)

    @cached_property
    def _files_of_locals(self) -> dict[int, str]:
        """The files by address: in the symbol table, the symbol of a file comes before the file's local symbols."""
        files: dict[int, str] = {}
        file = ""
        for symbol in self.symbols:
            if symbol.binding == GLOBAL:
                break
            if symbol.kind == FILE:
                file = symbol.name
            elif file and symbol.defined and symbol.kind in (OBJECT, FUNCTION):
                code = symbol.kind == FUNCTION
                files[self.architecture.code_address(symbol.address) if code else symbol.address] = file
        return files

    def unwind_entry(self, pc: int) -> UnwindEntry | None:
        """Return the unwind information of the function at ``pc``, or None."""
        return self._debug.unwind_entry(pc)

    def describes_push(self, pc: int) -> bool:
        """Return whether the unwind information changes at ``pc``; if so, the compiler made the frame there."""
        entry = self.unwind_entry(pc)
        return entry is not None and any(pc < row.pc <= pc + 4 for row in entry.rows)

    def member(self, variable: str, path: tuple[str, ...]) -> Member | None:
        """Return where ``path`` leads to from ``variable``; None if the debug information does not tell."""
        if (variable, path) not in self._members:

            def read() -> bytes:
                from emu.dwarf import read_member  # only for an ELF that is not in the cache

                found = read_member(self._contents, variable, path)
                return json.dumps(None if found is None else [found.offsets, found.size]).encode()

            readers = ("emu.dwarf", "emu.debug_types", "emu.debug_info", "elftools")
            found = json.loads(self.kept("member", readers, read, [variable, *path]))
            self._members[variable, path] = None if found is None else Member(tuple(found[0]), found[1])
        return self._members[variable, path]

    # ---- reading -----------------------------------------------------------------------------------------------------

    def _check_addresses(self, target: Target) -> None:
        for segment in self.segments if self.board.memory else ():
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
            start = region.end  # a segment may continue in adjacent memory
        return True


def _location(function: Function | None, file: str | None, line: int | None) -> Location:
    if function is None:
        return Location(file=file, line=line)
    mangled = function.symbol if function.symbol != function.name else None
    return Location(function=function.name, symbol=mangled, file=file, line=line)


def _preference(symbol: Symbol) -> tuple[object, ...]:
    """Sort key for several names of one address: the most telling name comes first."""
    underscores = len(symbol.name) - len(symbol.name.lstrip("_"))
    return (symbol.kind != FUNCTION, symbol.binding != GLOBAL, not symbol.size, underscores, symbol.name)
