"""The name of a module that a user's Python file makes: ``my_model.py:build``."""

import re
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from emu.errors import InputError, MissingToolError

_DEFINITION = re.compile(r"(?P<file>.*\.py)(:(?P<name>[^:/\\]*))?", re.DOTALL)


@dataclass(frozen=True)
class Definition:
    """A file, and the function in it that makes a module; a class or a module does as well."""

    file: Path
    name: str
    weights: Path | None = None
    """The checkpoint that is loaded into the module."""

    @property
    def files(self) -> list[Path]:
        """The files that are read for the module."""
        return [self.file, *([] if self.weights is None else [self.weights])]


def parse_definition(text: str, weights: Path | None = None) -> Definition | None:
    """Return what ``my_model.py:build`` names, or None for other text.

    Raises InputError if the function is missing, and MissingToolError if PyTorch is not installed.
    """
    match = _DEFINITION.fullmatch(text)
    if match is None:
        return None
    if not match["name"]:
        raise InputError(f"{text}: say which function of the file makes the model: {match['file']}:build")
    if find_spec("torch") is None:
        raise MissingToolError("reading a module needs PyTorch: pip install 'emu-mcu[torch]'")
    return Definition(Path(match["file"]), match["name"], weights)
