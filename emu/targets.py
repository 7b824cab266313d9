"""Targets: a board (its memory map, CPU and build flags, from ``targets/*.toml``) on one of its emulators."""

import re
import tomllib
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from emu.errors import InputError
from emu.resources import resource

_UNITS = {"B": 1, "KB": 1024, "MB": 1024 * 1024}


def parse_size(text: object) -> int:
    """Return the bytes that ``"128 KB"``, ``"2 MB"``, ``"512 B"`` or a plain number stands for (1 KB = 1024 B).

    Raises ValueError where the text is not a size.
    """
    match = re.fullmatch(r"(\d+)\s*(B|KB|MB)?", str(text).strip())
    if match is None:
        raise ValueError(f'"{text}" is not a size such as "128 KB"')
    return int(match[1]) * _UNITS[match[2] or "B"]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Region(_Strict):
    """One contiguous memory of the board."""

    name: str
    start: int
    size: Annotated[int, BeforeValidator(parse_size)]
    access: str = Field(pattern=r"^r?w?x?$")
    kind: Literal["memory", "registers"] = "memory"

    @property
    def end(self) -> int:
        """The first address behind the region."""
        return self.start + self.size

    @property
    def writable(self) -> bool:
        """Whether firmware may store to it (RAM); flash is read and executed only."""
        return "w" in self.access

    @property
    def executable(self) -> bool:
        """Whether firmware may fetch instructions from it."""
        return "x" in self.access

    def __contains__(self, address: int) -> bool:
        return self.start <= address < self.end


def _parse_offset(text: object) -> int:
    """Return the number that a key of a TOML table, which is always text, stands for."""
    return int(str(text), 0)


class Peripheral(_Strict):
    """Registers of the board. An access to them is a fault that names them, unless they are modelled."""

    name: str
    start: int
    size: Annotated[int, BeforeValidator(parse_size)]
    stub: bool = False
    """Whether the registers keep what is written to them, and do nothing else."""
    output: int | None = None
    """Offset of the register that transmits what is written to it, a byte at a time."""
    reads: dict[Annotated[int, BeforeValidator(_parse_offset)], int] = {}
    """By its offset, what a register always reads as."""

    @property
    def end(self) -> int:
        """The first address behind the peripheral."""
        return self.start + self.size

    @property
    def modelled(self) -> bool:
        """Whether firmware may access it."""
        return self.stub or self.output is not None or bool(self.reads)

    def __contains__(self, address: int) -> bool:
        return self.start <= address < self.end

    @model_validator(mode="after")
    def _registers_are_inside(self) -> Self:
        offsets = [*self.reads, *([] if self.output is None else [self.output])]
        if not all(0 <= offset < self.size for offset in offsets):
            raise ValueError(f"{self.name} has {self.size} bytes of registers, and an offset that is not in them")
        return self


class Build(_Strict):
    """How firmware for the board is compiled and linked."""

    toolchain: str
    flags: tuple[str, ...]
    linker_script: str = ""
    """Empty where firmware is a program that an operating system loads, with its C library."""


class Emulator(_Strict):
    """What one emulator needs to know about the board, and what it leaves out."""

    title: str
    not_emulated: tuple[str, ...] = ()
    options: dict[str, Any] = {}


class Board(_Strict):
    """A board file (``targets/<name>.toml``): adding a board is adding this file and a linker script."""

    name: str = Field(pattern=r"^[a-z0-9]+$")
    title: str
    architecture: str
    build: Build
    memory: tuple[Region, ...]
    """Empty where a loader finds room for the firmware: on the machine that builds."""
    peripherals: tuple[Peripheral, ...] = ()
    emulators: dict[str, Emulator]

    @model_validator(mode="after")
    def _memory_goes_with_a_linker_script(self) -> Self:
        if bool(self.memory) != bool(self.build.linker_script):
            raise ValueError(f"{self.name} has memory or a linker script, but not both")
        return self

    @model_validator(mode="after")
    def _addresses_are_apart(self) -> Self:
        taken = [(part.start, part.end, part.name) for part in (*self.memory, *self.peripherals)]
        for (_, end, name), (start, _, other) in pairwise(sorted(taken)):
            if start < end:
                raise ValueError(f"{name} and {other} overlap")
        return self

    def region_at(self, address: int) -> Region | None:
        """Return the region that holds ``address``, or None where the board has no memory there."""
        return next((region for region in self.memory if address in region), None)

    def peripheral_at(self, address: int) -> Peripheral | None:
        """Return the peripheral whose registers are at ``address``, or None where the board file names none."""
        return next((peripheral for peripheral in self.peripherals if address in peripheral), None)

    def has_ram_at(self, address: int) -> bool:
        """Return whether there is RAM at ``address``."""
        return any(address in region for region in self.ram)

    @cached_property
    def ram(self) -> tuple[Region, ...]:
        """The regions that data can be written to, registers left out."""
        return tuple(region for region in self.memory if region.writable and region.kind == "memory")


@dataclass(frozen=True)
class Target:
    """One board on one emulator, for example ``stm32h7-unicorn``."""

    board: Board
    emulator_name: str

    @property
    def name(self) -> str:
        """The name by which users choose the target."""
        return f"{self.board.name}-{self.emulator_name}"

    @property
    def emulator(self) -> Emulator:
        """The emulator's section of the board file."""
        return self.board.emulators[self.emulator_name]


def load_board(path: Path) -> Board:
    """Read a board file; raises InputError that names the field where it is not valid."""
    try:
        return Board.model_validate(tomllib.loads(path.read_text()))
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise InputError(f"{path}: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        raise InputError(f"{path}: {field}: {first['msg']}") from error


def load_targets() -> dict[str, Target]:
    """Return every known target by name, in the order of the board files."""
    boards = [load_board(path) for path in sorted(resource("targets").glob("*.toml"))]
    targets = [Target(board, emulator) for board in boards for emulator in board.emulators]
    return {target.name: target for target in targets}


def find_target(name: str) -> Target:
    """Return the target called ``name``; raises InputError that lists the known ones."""
    targets = load_targets()
    if name not in targets:
        raise InputError(f'there is no target "{name}"; known targets: {", ".join(targets)}')
    return targets[name]
