"""The settings of a user's project, which the command line, the pytest plugin and the GitHub action share.

They stand in ``emu.toml``, or in the table ``[tool.emu]`` of ``pyproject.toml``. The nearest directory that has one of
them counts, from the current directory upwards; in one directory, ``emu.toml`` counts::

    targets = ["stm32h7-unicorn", "myboard-qemu"]
    boards = ["boards/myboard.toml"]
    suppressions = "suppressions.toml"

    [limits]
    stack = "2 KB"
    flash = "256 KB"

An option of a command comes before its environment variable, and that before the file.
"""

import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, field_validator

from emu.budgets.limits import parse_limit
from emu.errors import InputError
from emu.figures import BUDGETS
from emu.reading import read_toml

OWN_FILE, SHARED_FILE = "emu.toml", "pyproject.toml"


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    targets: list[str] = []
    boards: list[Path] = []
    suppressions: Path | None = None
    limits: dict[str, int | str] = {}

    @field_validator("limits")
    @classmethod
    def _are_limits(cls, limits: dict[str, int | str]) -> dict[str, int | str]:
        for name, limit in limits.items():
            if name not in BUDGETS:
                raise ValueError(f'there is no figure "{name}", only {", ".join(BUDGETS)}')
            parse_limit(name, limit)
        return limits


@dataclass(frozen=True)
class Project:
    """The settings of a project; all are empty if no file has any."""

    file: Path | None = None
    targets: list[str] = field(default_factory=list)
    boards: list[Path] = field(default_factory=list)
    """Absolute paths."""
    suppressions: Path | None = None
    """An absolute path."""
    limits: dict[str, int] = field(default_factory=dict)
    """The largest values allowed, by the short names of figures."""


def find_project(start: Path) -> Project:
    """Return the settings for the directory ``start``; raises InputError if their file is not valid."""
    for directory in (start.absolute(), *start.absolute().parents):
        own, shared = directory / OWN_FILE, directory / SHARED_FILE
        if own.is_file():
            return _project(own, read_toml(own, _Table.model_validate, "settings of emu"))
        if shared.is_file() and _has_table(shared):
            return _project(shared, read_toml(shared, _tool_table, "a pyproject.toml with settings of emu"))
    return Project()


def _has_table(path: Path) -> bool:
    """Return whether a pyproject.toml has settings of emu; one that is not TOML is another tool's affair."""
    try:
        return isinstance(tomllib.loads(path.read_text()).get("tool", {}).get("emu"), dict)
    except (OSError, ValueError, AttributeError):
        return False


def _tool_table(document: dict[str, Any]) -> _Table:
    return _Table.model_validate(document["tool"]["emu"])


def _project(file: Path, table: _Table) -> Project:
    directory = file.parent
    boards = [directory / board for board in table.boards]
    missing = next((board for board in boards if not board.is_file()), None)
    if missing is not None:
        raise InputError(f"{file}: boards: {missing}: no such file")
    return Project(
        file=file,
        targets=list(table.targets),
        boards=boards,
        suppressions=None if table.suppressions is None else directory / table.suppressions,
        limits={name: parse_limit(name, limit) for name, limit in table.limits.items()},
    )
