"""The user's statements about a checkpoint, which no tensor shows.

They stand in a TOML file next to the checkpoint, which every command and the pytest plugin read: ``model.emu.toml`` for
``model.pt``. ``--set`` makes such a statement for one command.
"""

import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from emu.errors import InputError
from emu.model.config import Activation, BlockKind, Direction, InnerNorm, NormKind, Pooling
from emu.model.tensor_file import stem
from emu.reading import complaint, read_toml

SUFFIX = ".emu.toml"

_PART = re.compile(r"linear_in|layers\.\d+\.(norm|mixer)|norm_f|head")

Epsilon = Annotated[float, Field(gt=0, lt=1)]


class Stated(BaseModel):
    """Choices of a model; those that the user did not state are None."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    block: BlockKind | None = None
    norm: NormKind | None = None
    norm_epsilon: Epsilon | None = None
    inner_norm: InnerNorm | None = None
    inner_norm_epsilon: Epsilon | None = None
    activation: Activation | None = None
    gate: Activation | None = None
    direction: Direction | None = None
    pooling: Pooling | None = None
    state_dict: str | None = None
    """The entry of a PyTorch file that holds the weights."""
    names: dict[str, str] = {}
    """The checkpoint's names of the model's parts: the prefix of the tensors' names, by the part's name."""

    @field_validator("names")
    @classmethod
    def _name_parts(cls, names: dict[str, str]) -> dict[str, str]:
        for part in names:
            if not _PART.fullmatch(part):
                raise ValueError(f"{part!r} is none of linear_in, layers.N.norm, layers.N.mixer, norm_f, head")
        return names

    def over(self, other: "Stated") -> "Stated":
        """Return both together; a choice that both state has the value in ``self``."""
        return Stated.model_validate(other.model_dump(exclude_defaults=True) | self.model_dump(exclude_defaults=True))


def file_beside(checkpoint: Path) -> Path:
    """Return the path of the file that states what a checkpoint computes, whether the file exists or not."""
    return checkpoint.with_name(stem(checkpoint) + SUFFIX)


def read_stated(checkpoint: Path) -> Stated:
    """Return what the file next to a checkpoint states; raises InputError if that file is not valid."""
    path = file_beside(checkpoint)
    if not os.path.isfile(path):  # noqa: PTH113 - no error for an odd name
        return Stated()
    return read_toml(path, Stated.model_validate, "a statement about a checkpoint")


def parse_settings(settings: Iterable[str]) -> Stated:
    """Return what ``--set KEY=VALUE`` states; raises InputError if a key or a value is not valid."""
    table: dict[str, str] = {}
    for setting in settings:
        key, equals, value = setting.partition("=")
        if not equals or not value:
            raise InputError(f"--set {setting}: expected KEY=VALUE, such as --set pooling=last")
        if key not in _SETTABLE:
            raise InputError(f"--set {setting}: {key!r} is not known; expected one of {', '.join(_SETTABLE)}")
        table[key] = value
    return from_table(table)


def from_table(table: Mapping[str, object]) -> Stated:
    """Return what a table states; raises InputError if a key or a value is not valid."""
    try:
        return Stated.model_validate(table)
    except ValidationError as error:
        first = error.errors()[0]
        raise InputError(f"--set {first['loc'][0]}: {complaint(first)}") from error


_SETTABLE = tuple(name for name in Stated.model_fields if name != "names")
