"""Targets: a board (its memory map, CPU and build flags, from ``targets/*.toml``) on one of its emulators."""

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BeforeValidator,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from emu.board_fields import Strict, parse_size
from emu.emulators import EMULATORS, Emulator, EmulatorName
from emu.errors import InputError
from emu.peripherals import Peripheral, Registers, with_model
from emu.reading import complaint, read_toml
from emu.resources import resource

_ADDRESSES = 1 << 32
_PAGE = 4096  # bytes; emulators map whole pages
_CPUS = {"armv7em": ("cortex-m4", "cortex-m7"), "host": ("host",), "xtensa": ("lx7",)}


class Region(Strict):
    """One contiguous memory of the board."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    """The name in reports: lower-case letters, digits and underscores."""
    start: int = Field(ge=0)
    """The first address."""
    size: Annotated[int, BeforeValidator(parse_size), Field(gt=0)]
    """Bytes, or text such as "128 KB" (1 KB = 1024 B)."""
    access: str = Field(pattern=r"^rw?x?$")
    """What firmware may do: r reads, w writes, x executes. Memory with w is RAM; memory without w is flash."""
    kind: Literal["memory", "registers"] = "memory"
    """``memory`` holds code or data. ``registers`` are the core's own registers, and hold no data of the firmware."""

    @property
    def end(self) -> int:
        """The first address after the region."""
        return self.start + self.size

    @property
    def writable(self) -> bool:
        """Whether firmware may write to the region. RAM is writable; flash is only read and executed."""
        return "w" in self.access

    @property
    def executable(self) -> bool:
        """Whether firmware may execute code in the region."""
        return "x" in self.access

    def __contains__(self, address: int) -> bool:
        return self.start <= address < self.end

    @model_validator(mode="after")
    def _is_whole_pages(self) -> Self:
        if self.start % _PAGE or self.size % _PAGE or self.end > _ADDRESSES:
            raise ValueError(
                f"start and size have to be multiples of {_PAGE}, as emulators map pages, and end below 4 GB"
            )
        return self


class Build(Strict):
    """How firmware for the board is compiled and linked."""

    toolchain: str
    """The compiler: "xtensa", or the first part of the name ``<toolchain>-gcc``, such as "arm-none-eabi"."""
    flags: tuple[str, ...]
    """Compiler options for the processor and its FPU."""
    linker_script: Path | None = None
    """The linker script's path from the board file's directory. Only a board without memory has no linker script."""

    @field_validator("linker_script")
    @classmethod
    def _is_beside_the_board_file(cls, script: Path | None, loading: ValidationInfo) -> Path | None:
        if script is None:
            return None
        path = loading.context["directory"] / script if loading.context else script
        if not os.path.isfile(path):  # noqa: PTH113 - does not raise if the name is too long
            raise ValueError(f"there is no file {path}")
        return path.resolve()


class Emulation(Strict):
    """How one emulator runs the board. The board runs on every emulator that has a section."""

    title: str
    """What the emulator emulates, in a line."""
    not_emulated: tuple[str, ...] = ()
    """Parts of the board that this emulator leaves out, a line each."""


class Board(Strict):
    """A board file. A new board needs only this file and a linker script."""

    name: str = Field(pattern=r"^[a-z0-9]+$")
    """The part of the targets' names before the hyphen: lower-case letters and digits."""
    title: str
    """Chip, core and memory, in a line."""
    architecture: Literal["armv7em", "host", "xtensa"]
    """The processor's instruction set. ``runtime/port`` has startup code for each."""
    cpu: Literal["cortex-m4", "cortex-m7", "host", "lx7"]
    """The processor's core: a Cortex for armv7em, lx7 (the ESP32-S3's core) for xtensa, host for host."""
    build: Build
    """How firmware for the board is compiled and linked."""
    memory: tuple[Region, ...] = Field(max_length=32)  # REGIONS in emu/native/qemu/plugin.h
    """Every memory that firmware may use, once. An access elsewhere is a fault. A board without a linker script has no
    memory: the operating system of the build machine finds room for the firmware."""
    peripherals: tuple[Peripheral, ...] = ()
    """The peripherals that are known by name, modelled or not."""
    models: dict[str, Registers] = Field(default={})
    """Settings that several peripherals share, by a name that the peripherals give as their ``model``."""
    kept_over_reset: tuple[str, ...] = ()
    """How the names of sections begin whose values count as set when the firmware starts. Without this, `--memcheck`
    takes the first power-on, when such memory holds anything."""
    emulators: dict[EmulatorName, Emulation] = Field(min_length=1)
    """The emulators that run the board's firmware, by name."""

    @model_validator(mode="before")
    @classmethod
    def _peripherals_have_their_models(cls, table: Any) -> Any:
        match table:
            case {"peripherals": [*peripherals]} if isinstance(models := table.get("models", {}), dict):
                found = [with_model(each, models) if isinstance(each, dict) else each for each in peripherals]
                return {**table, "peripherals": found}
        return table

    @model_validator(mode="after")
    def _processor_fits(self) -> Self:
        if self.cpu not in _CPUS[self.architecture]:
            raise ValueError(
                f'no {self.architecture} has the cpu "{self.cpu}", only {", ".join(_CPUS[self.architecture])}'
            )
        for emulator in self.emulators:
            if self.architecture not in EMULATORS[emulator].programs:
                raise ValueError(f"{emulator} does not run {self.architecture}: leave out [emulators.{emulator}]")
        return self

    @model_validator(mode="after")
    def _memory_goes_with_a_linker_script(self) -> Self:
        if self.architecture == "host" and (self.memory or self.build.linker_script):
            raise ValueError(
                "a program for this machine has memory = [] and no build.linker_script: its loader finds room"
            )
        if self.architecture != "host" and not (self.memory and self.build.linker_script):
            raise ValueError("memory and build.linker_script are both needed")
        return self

    @model_validator(mode="after")
    def _addresses_are_apart(self) -> Self:
        taken = [(part.start, part.end, part.name) for part in (*self.memory, *self.peripherals)]
        for (_, end, name), (start, _, other) in pairwise(sorted(taken)):
            if start < end:
                raise ValueError(f"{name} and {other} overlap")
        return self

    @model_validator(mode="after")
    def _names_are_unique(self) -> Self:
        names = [part.name.lower() for part in (*self.memory, *self.peripherals)]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise ValueError(f"two memories or peripherals are called {twice}")
        return self

    def region_at(self, address: int) -> Region | None:
        """Return the region that holds ``address``, or None if the board has no memory there."""
        return next((region for region in self.memory if address in region), None)

    def peripheral_at(self, address: int) -> Peripheral | None:
        """Return the peripheral whose registers are at ``address``, or None if the board file names none."""
        return next((peripheral for peripheral in self.peripherals if address in peripheral), None)

    def has_ram_at(self, address: int) -> bool:
        """Return whether there is RAM at ``address``."""
        return any(address in region for region in self.ram)

    @cached_property
    def ram(self) -> tuple[Region, ...]:
        """The regions that firmware can write data to, without registers."""
        return tuple(region for region in self.memory if region.writable and region.kind == "memory")


@dataclass(frozen=True)
class Target:
    """One board on one emulator, for example ``stm32h7-unicorn``."""

    board: Board
    emulator_name: EmulatorName

    @property
    def name(self) -> str:
        """The name by which users choose the target."""
        return f"{self.board.name}-{self.emulator_name}"

    @property
    def emulator(self) -> Emulator:
        """What emu knows about the emulator."""
        return EMULATORS[self.emulator_name]

    @property
    def emulation(self) -> Emulation:
        """The emulator's section of the board file."""
        return self.board.emulators[self.emulator_name]


def load_board(path: Path) -> Board:
    """Read a board file. Raises InputError, which names the field, if the file is not valid."""

    def parse(table: dict[str, Any]) -> Board:
        try:
            return Board.model_validate(table, context={"directory": path.parent})
        except ValidationError as error:
            first = error.errors()[0]
            parts = [_field(table, first["loc"]), complaint(first)]
            raise InputError(": ".join(filter(None, parts))) from error

    return read_toml(path, parse, "a board file")


def load_targets(board_files: Iterable[Path] = ()) -> dict[str, Target]:
    """Return every known target by name, in the order of the board files: first emu's own, then ``board_files``.

    Raises InputError if a board file is not valid, or has the name of another board.
    """
    boards: dict[str, Board] = {}
    own = sorted(resource("targets").glob("*.toml"))
    for path in (*own, *{path.resolve(): path for path in board_files}.values()):
        board = load_board(path)
        if board.name in boards:
            raise InputError(f"{path}: name: there is another board {board.name}: give this one a name of its own")
        boards[board.name] = board
    targets = [Target(board, emulator) for board in boards.values() for emulator in board.emulators]
    return {target.name: target for target in targets}


def find_target(name: str, targets: Mapping[str, Target] | None = None) -> Target:
    """Return the target ``name`` of ``targets`` (default: emu's own). Raises InputError, which lists the targets."""
    known = load_targets() if targets is None else targets
    if name not in known:
        raise InputError(f'there is no target "{name}"; known targets: {", ".join(known)}')
    return known[name]


def _field(table: Any, location: Sequence[int | str]) -> str:
    """Return the place in a board file as text. An item of a list is named by its ``name``, if it has one."""
    words = []
    for part in location:
        if part == "[key]":  # the word before names the key
            continue
        try:
            table = table[part]
        except (LookupError, TypeError):  # the part is missing, or is a key itself
            table = None
        named = isinstance(part, int) and isinstance(table, dict)
        words.append(str(table.get("name", part)) if named else str(part))
    return ".".join(words)
