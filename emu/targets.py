"""Targets: a board (its memory map, CPU and build flags, from ``targets/*.toml``) on one of its emulators."""

import re
import tomllib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

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


class Build(_Strict):
    """How firmware for the board is compiled and linked."""

    toolchain: str
    flags: tuple[str, ...]
    linker_script: str


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
    emulators: dict[str, Emulator]

    def region_at(self, address: int) -> Region | None:
        """Return the region that holds ``address``, or None where the board has no memory there."""
        return next((region for region in self.memory if address in region), None)

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
