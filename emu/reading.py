"""One way to read a user's file: its size is bounded, and any mistake in it is one line that names the file."""

import json
import stat
import tomllib
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from emu.errors import EmuError, InputError
from emu.printable import printable

_T = TypeVar("_T")
_Schema = TypeVar("_Schema", bound=BaseModel)

MOST_BYTES = 1 << 30
"""The most bytes of a file: more than a board has, and few enough to be in memory twice."""
_MOST_TEXT_BYTES = 1 << 20
_MOST_RECORD_BYTES = 1 << 27
_CHUNK = 1 << 20
_LONGEST_VALUE = 60

_WHOLE_NUMBERS = range(-(1 << 63), 1 << 64)
"""The values that a count, a size or an address can have."""


def read_bytes(path: Path, most: int = MOST_BYTES) -> bytes:
    """Return a file's bytes; raises InputError if it cannot be read, or holds more than ``most`` bytes."""
    try:
        with path.open("rb") as file:
            status = path.stat()
            if status.st_size > most:
                raise _too_large(path, most)
            if stat.S_ISREG(status.st_mode):
                return file.read()
            data = bytearray()  # a pipe, or a device, which may never end
            while chunk := file.read(_CHUNK):
                data += chunk
                if len(data) > most:
                    raise _too_large(path, most)
            return bytes(data)
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from error
    except ValueError as error:  # a null character in its name
        raise InputError(f"{path}: no file can have this name") from error


def read_file(path: Path, expected: str, parse: Callable[[bytes], _T], most: int = MOST_BYTES) -> _T:
    """Parse the bytes of a file, and return the result of ``parse``.

    ``expected`` says what the file should be: "an .npz file". An InputError of ``parse`` gets the file's path. Another
    exception, of any library, becomes an InputError that says what was expected. A file that cannot be read or is too
    large raises InputError, too.
    """
    data = read_bytes(path, most)
    try:
        with warnings.catch_warnings(action="ignore"):  # a warning would be a second line
            return parse(data)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    except EmuError:
        raise
    except Exception as error:
        raise InputError(f"{path}: not {expected}{_reason(error)}") from error


def read_toml(path: Path, schema: Callable[[dict[str, Any]], _T], expected: str) -> _T:
    """Validate a TOML file's table by ``schema``, and return the result; raises InputError as ``read_file`` does.

    Each whole number in the file has at most 64 bits, as TOML demands.
    """

    def parse(data: bytes) -> _T:
        table = tomllib.loads(data.decode())
        _check_whole_numbers(table)
        return schema(table)

    return read_file(path, expected, parse, _MOST_TEXT_BYTES)


def read_json(path: Path, schema: Callable[[Any], _T], expected: str) -> _T:
    """Validate a JSON file's value by ``schema``, and return the result; raises InputError as ``read_file`` does.

    Each whole number in the file has at most 64 bits, and each number is finite.
    """

    def parse(data: bytes) -> _T:
        value = json.loads(data, parse_int=_whole_number, parse_float=_finite_number, parse_constant=_refuse_constant)
        return schema(value)

    return read_file(path, expected, parse, _MOST_RECORD_BYTES)


def complaint(error: ErrorDetails) -> str:
    """Return what is wrong with a value, in words for people who do not know pydantic."""
    context = error.get("ctx", {})
    given = _brief(error["input"])
    match error["type"]:
        case "missing":
            return "is missing"
        case "extra_forbidden":
            return "is not known"
        case "literal_error":
            return f"{given} is none of {context['expected']}"
        case "string_pattern_mismatch":
            return f"{given} does not match {context['pattern']}"
        case "value_error":
            return error["msg"].removeprefix("Value error, ")
        case "greater_than" | "greater_than_equal" | "less_than" | "less_than_equal" as bound:
            limit = context[{"greater_than": "gt", "greater_than_equal": "ge", "less_than": "lt"}.get(bound, "le")]
            return f"{given} is not {bound.replace('_', ' ').replace('equal', 'or equal to')} {limit}"
        case "too_long" | "too_short" as which:
            bound = "max_length" if which == "too_long" else "min_length"
            return f"has {context['actual_length']} entries; {'at most' if which == 'too_long' else 'at least'} " + str(
                context[bound]
            )
    for types, wanted in _WANTED.items():
        if error["type"].startswith(types):
            return f"{given} is not {wanted}"
    return f"{given} is not allowed"


_WANTED: Mapping[str, str] = {
    "int": "a whole number",
    "float": "a number",
    "finite": "a finite number",
    "bool": "true or false",
    "string": "text",
    "path": "a path",
    "list": "a list",
    "tuple": "a list",
    "dict": "a table",
    "model": "a table",
}
"""What a value has to be, by the beginning of the type of pydantic's error."""


def _first_complaint(error: ValidationError) -> str:
    first = error.errors()[0]
    place = ".".join(str(part) for part in first["loc"] if part != "[key]") or "the file"
    return f"{place}: {complaint(first)}"


def _brief(value: object) -> str:
    match value:
        case str():
            return f'"{printable(value, _LONGEST_VALUE)}"'
        case bool():
            return str(value).lower()
        case int() if value not in _WHOLE_NUMBERS:
            return "a number that is too large"
        case int() | float():
            return str(value)
        case dict():
            return "a table"
        case list() | tuple():
            return "a list"
    return "nothing" if value is None else printable(str(value), _LONGEST_VALUE)


def _reason(error: Exception) -> str:
    """Return why a file cannot be read, if the exception's own words are clear to users."""
    match error:
        case ValidationError():
            return f": {_first_complaint(error)}"
        case UnicodeDecodeError():
            return f": it is not UTF-8 text at byte {error.start}"
        case tomllib.TOMLDecodeError() | json.JSONDecodeError() | _NumberError():
            return f": {error}"
        case RecursionError():
            return ": it is nested too deeply"
        case MemoryError():
            return ": it asks for more memory than there is"
    return ""


class _NumberError(ValueError):
    """A file has a number that JSON or a record cannot have."""


def _check_whole_numbers(value: object) -> None:
    if isinstance(value, int) and value not in _WHOLE_NUMBERS:
        raise _NumberError("a whole number in it has more than 64 bits")
    if isinstance(value, dict | list):
        for each in value.values() if isinstance(value, dict) else value:
            _check_whole_numbers(each)


def _whole_number(text: str) -> int:
    number = int(text) if len(text) <= 20 else _WHOLE_NUMBERS.stop
    if number not in _WHOLE_NUMBERS:
        raise _NumberError(f"{text[:20]}... has more than 64 bits")
    return number


def _finite_number(text: str) -> float:
    number = float(text)
    if abs(number) == float("inf"):
        raise _NumberError(f"{text} is not finite")
    return number


def _refuse_constant(text: str) -> NoReturn:
    raise _NumberError(f"{text} is not a number of JSON")


def _too_large(path: Path, most: int) -> InputError:
    return InputError(f"{path}: has more than {most:,} bytes; no file of its kind needs as many")
