"""The MEMORY command of a linker script (GNU ld, "MEMORY Command")."""

import re
from dataclasses import dataclass

from emu.errors import InputError

_COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)
_COMMAND = re.compile(r"\bMEMORY\s*\{(.*?)\}", re.DOTALL)
_PART = re.compile(
    r"(?P<name>[\w.-]+)\s*(?:\((?P<attributes>[^)]*)\))?\s*:\s*"
    r"(?:ORIGIN|org|o)\s*=\s*(?P<origin>[^,]+?)\s*,\s*"
    r"(?:LENGTH|len|l)\s*=\s*(?P<length>[^\n]+?)\s*(?=$|[\w.-]+\s*(?:\([^)]*\))?\s*:)",
    re.MULTILINE,
)
_TERM = re.compile(r"(0[xX][0-9a-fA-F]+|\d+)([kKmM]?)")
_UNITS = {"": 1, "k": 1024, "m": 1024 * 1024}


@dataclass(frozen=True)
class Memory:
    """One memory of a linker script."""

    name: str
    start: int
    size: int
    """Bytes."""
    writable: bool
    executable: bool


def read_memory(script: str) -> list[Memory]:
    """Return the memories of the MEMORY command, in its order.

    Raises InputError if there is no such command, or if an address is not a sum or difference of numbers.
    """
    command = _COMMAND.search(_COMMENT.sub(" ", script))
    if command is None:
        raise InputError("the linker script has no MEMORY command, which says what memory the board has")
    memories = [_memory(part) for part in _PART.finditer(command[1].strip())]
    if not memories:
        raise InputError("the MEMORY command has no line such as `RAM (rwx) : ORIGIN = 0x20000000, LENGTH = 128K`")
    return memories


def _memory(part: re.Match[str]) -> Memory:
    attributes = (part["attributes"] or "rwx").lower()
    allowed, _, forbidden = attributes.partition("!")
    return Memory(
        name=part["name"],
        start=_number(part["origin"], part["name"]),
        size=_number(part["length"], part["name"]),
        writable="w" in allowed and "w" not in forbidden,
        executable="x" in allowed and "x" not in forbidden,
    )


def _number(text: str, name: str) -> int:
    """Return the value of numbers with K or M, joined by + and -."""
    total, sign, rest = 0, 1, text.strip()
    while True:
        term = _TERM.match(rest)
        if term is None:
            raise InputError(f"memory {name}: {text} is not a number, or a sum of numbers such as 0x20000000 + 16K")
        total += sign * int(term[1], 0) * _UNITS[term[2].lower()]
        rest = rest[term.end() :].strip()
        if not rest:
            return total
        if rest[0] not in "+-":
            raise InputError(f"memory {name}: {text} is not a number, or a sum of numbers such as 0x20000000 + 16K")
        sign, rest = (1 if rest[0] == "+" else -1), rest[1:].strip()
