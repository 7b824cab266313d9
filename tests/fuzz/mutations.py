"""Damage to files: what a seed becomes by chance, still close enough to valid to come far into its reader."""

import io
import json
import random
import re
import struct
import zipfile
from collections.abc import Callable
from typing import Any

Mutate = Callable[[bytes, random.Random], bytes]

NUMBERS = (
    0,
    1,
    2,
    0x7F,
    0x80,
    0xFF,
    0x7FFF,
    0x8000,
    0xFFFF,
    0x7FFF_FFFF,
    0x8000_0000,
    0xFFFF_FFFF,
    (1 << 63) - 1,
    1 << 63,
)
"""Those at which lengths, counts and offsets go wrong."""
EVIL = "\n::error::\r\x1b[2J\x00\u202e"
"""Text that commands a terminal or a CI server, if it gets there raw."""
_SIZES = {1: "B", 2: "<H", 4: "<I", 8: "<Q"}


def damage_bytes(data: bytes, chance: random.Random) -> bytes:
    """Flip bits, set fields, cut, repeat and swap, a few times."""
    changed = bytearray(data)
    for _ in range(chance.choice((1, 1, 1, 2, 3, 8))):
        if changed:
            chance.choice((_flip, _set_field, _set_field, _cut, _repeat, _overwrite))(changed, chance)
    return bytes(changed)


def _flip(data: bytearray, chance: random.Random) -> None:
    data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)


def _set_field(data: bytearray, chance: random.Random) -> None:
    size = chance.choice((1, 2, 4, 4, 4, 8))
    at = chance.randrange(len(data)) // size * size
    number = chance.choice((*NUMBERS, len(data), chance.randrange(len(data)))) & ((1 << 8 * size) - 1)
    field = struct.pack(_SIZES[size], number)
    data[at : at + size] = field[: len(data) - at]


def _cut(data: bytearray, chance: random.Random) -> None:
    at = chance.randrange(len(data))
    del data[at : chance.choice((at + 1, at + chance.randrange(64), len(data)))]


def _repeat(data: bytearray, chance: random.Random) -> None:
    at = chance.randrange(len(data))
    data[at:at] = data[at : at + chance.randrange(64)] * chance.choice((1, 2, 200))


def _overwrite(data: bytearray, chance: random.Random) -> None:
    at, source, size = chance.randrange(len(data)), chance.randrange(len(data)), chance.randrange(64)
    data[at : at + size] = data[source : source + size]


def damage_within(start: int, end: int) -> Mutate:
    """Return what damages only the bytes from ``start`` to ``end``, and leaves each of the others at its place."""

    def mutate(data: bytes, chance: random.Random) -> bytes:
        part = bytearray(data[start:end])
        for _ in range(chance.choice((1, 1, 2, 4))):
            chance.choice((_flip, _set_field, _set_field, _overwrite))(part, chance)
        return data[:start] + bytes(part[: end - start]) + data[end:]

    return mutate


# ---- text ------------------------------------------------------------------------------------------------------------

_TOKEN = re.compile(rb'"[^"\n]*"|-?\d[\w.]*|[A-Za-z_]+|[^\s\w]')
_TEXTS = (
    b"0", b"-1", b"1e999", b"-0.0", b"nan", b"inf", b"NaN", b"Infinity", b"9" * 30, b"9" * 5000, b"0x" + b"f" * 5000,
    b"null", b"true", b"[]", b"{}", b'""', b"[" * 3000, b"{\"a\":" * 3000, b'"' + b"x" * 5000 + b'"', b'"\\u001b[2J"',
    b'"\\n::error::"', b"'''", b"[[a]]\n", b"2026-13-45", b"\xff\xfe", b"\x00", b"#", b'"Infinity"', b'"1e999 B"',
)  # fmt: skip


def damage_text(data: bytes, chance: random.Random) -> bytes:
    """Replace, drop and repeat tokens."""
    tokens = [*_TOKEN.finditer(data)]
    if not tokens or chance.random() < 0.2:
        return damage_bytes(data, chance)
    token, other = chance.choice(tokens), chance.choice(tokens)
    replacement = chance.choice((chance.choice(_TEXTS), chance.choice(_TEXTS), other[0], b"", token[0] * 2))
    return data[: token.start()] + replacement + data[token.end() :]


_VALUES: tuple[Callable[[random.Random], Any], ...] = (
    lambda chance: chance.choice(NUMBERS),
    lambda chance: -chance.choice(NUMBERS),
    lambda _: 10**400,
    lambda _: 1e308,
    lambda _: float("nan"),
    lambda _: float("inf"),
    lambda chance: chance.choice(("", "NaN", "Infinity", "1e999 B", "9" * 400, "x" * 5000, EVIL, "\ud800", "../../x")),
    lambda chance: chance.choice((None, True, [], {}, [[]], {"": 0}, [None], "0", -1)),
)


def damage_json(data: bytes, chance: random.Random) -> bytes:
    """Replace, drop and rename values anywhere in a document."""
    if chance.random() < 0.2:
        return damage_text(data, chance)
    document = json.loads(data)
    for _ in range(chance.choice((1, 1, 2, 5))):
        _damage_value(document, chance)
    return json.dumps(document).encode()


def _damage_value(document: Any, chance: random.Random) -> None:
    places = [*_places(document)]
    parent, key = chance.choice(places)
    match chance.randrange(8):
        case 0:
            del parent[key]
        case 1 if isinstance(parent, dict):
            parent[chance.choice((EVIL, "9" * 30, "-1", str(key) * 2))] = parent.pop(key)
        case 2:
            other, place = chance.choice(places)
            if (isinstance(other, list) and place < len(other)) or (isinstance(other, dict) and place in other):
                parent[key] = json.loads(json.dumps(other[place]))
        case 3 if isinstance(parent, list):
            parent *= 3
        case _:
            parent[key] = chance.choice(_VALUES)(chance)


def _places(value: Any) -> Any:
    for key in value if isinstance(value, dict) else range(len(value)):
        yield value, key
        if isinstance(value[key], dict | list):
            yield from _places(value[key])


# ---- archives --------------------------------------------------------------------------------------------------------


def damage_archive(data: bytes, chance: random.Random) -> bytes:
    """Damage a member and pack it again, so that its checksum holds; or damage the archive itself."""
    if not zipfile.is_zipfile(io.BytesIO(data)) or chance.random() < 0.4:
        return damage_bytes(data, chance)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = {member.filename: archive.read(member) for member in archive.infolist()}
    name = chance.choice(sorted(members))
    head = min(256, len(members[name]))
    members[name] = chance.choice((damage_bytes, damage_within(0, max(1, head))))(members[name], chance)
    packed = io.BytesIO()
    compression = chance.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2))
    with zipfile.ZipFile(packed, "w", compression) as archive:
        for each, content in members.items():
            archive.writestr(each, content)
    return packed.getvalue()


def damage_safetensors(data: bytes, chance: random.Random) -> bytes:
    """Damage the header's JSON and write down its new length; or damage the bytes."""
    if chance.random() < 0.4:
        return damage_within(0, min(len(data), 400))(data, chance)
    size = int.from_bytes(data[:8], "little")
    header = damage_json(data[8 : 8 + size].rstrip(), chance)
    return len(header).to_bytes(8, "little") + header + data[8 + size :]
