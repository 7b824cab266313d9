"""A CMSIS-SVD file: the core and the peripherals of a chip, as its vendor describes them.

The format is at https://open-cmsis-pack.github.io/svd-spec.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias
from xml.etree import ElementTree  # no entities: a file with a DOCTYPE is refused

from emu.errors import InputError

_Element: TypeAlias = "ElementTree.Element[str]"
_REGISTER_BYTES = 4


@dataclass(frozen=True)
class Register:
    """A register: its offset in the peripheral, its value after a reset, and its fields by name."""

    name: str
    offset: int
    reset: int
    fields: Mapping[str, tuple[int, int]]
    """The highest and the lowest bit of each field."""


@dataclass(frozen=True)
class SvdPeripheral:
    """A peripheral."""

    name: str
    group: str
    """The name of the group, or the peripheral's name without digits at its end."""
    start: int
    size: int
    registers: Mapping[str, Register] = field(default_factory=dict)


@dataclass(frozen=True)
class Device:
    """A chip."""

    name: str
    cpu: str
    """The core as SVD writes it: ``CM4``, ``CM7``; "" if the file does not say."""
    double_precision: bool
    peripherals: list[SvdPeripheral]


def read_device(data: bytes) -> Device:
    """Return the chip that the SVD file describes; raises InputError if it is not an SVD file."""
    if b"<!DOCTYPE" in data or b"<!ENTITY" in data:
        raise InputError("an SVD file has no DOCTYPE")
    try:
        root = ElementTree.fromstring(data)
    except ElementTree.ParseError as error:
        raise InputError(f"not XML: {error}") from error
    if root.tag != "device":
        raise InputError(f"not an SVD file: its first element is <{root.tag}>, not <device>")
    elements = {_text(each, "name"): each for each in root.iterfind("peripherals/peripheral")}
    reset = _number(root, "resetValue", 0)
    return Device(
        name=_text(root, "name"),
        cpu=_text(root, "cpu/name"),
        double_precision=_text(root, "cpu/fpuDP") in ("true", "1"),
        peripherals=[_peripheral(each, elements, reset) for each in elements.values()],
    )


def _peripheral(element: _Element, all_of_them: Mapping[str, _Element], reset: int) -> SvdPeripheral:
    name, like = _text(element, "name"), element.get("derivedFrom")
    origin = element if like is None else all_of_them.get(like)
    if origin is None:
        raise InputError(f"{name} is derived from {like}, which the file does not have")
    source = element if element.find("registers") is not None else origin
    registers = {
        register.name: register
        for holder in source.iterfind("registers")
        for register in _registers(holder, 0, "", _number(source, "resetValue", reset))
    }
    last = max((register.offset + _REGISTER_BYTES for register in registers.values()), default=_REGISTER_BYTES)
    blocks = [_number(block, "offset", 0) + _number(block, "size", 0) for block in source.iterfind("addressBlock")]
    group = _text(element, "groupName") or _text(origin, "groupName") or name.rstrip("0123456789")
    return SvdPeripheral(name, group, _number(element, "baseAddress", 0), max([last, *blocks]), registers)


def _registers(holder: _Element, base: int, prefix: str, reset: int) -> Iterator[Register]:
    for cluster in holder.iterfind("cluster"):
        for index, offset in _repeated(cluster):
            name = _text(cluster, "name").replace("[%s]", index).replace("%s", index)
            yield from _registers(cluster, base + offset, f"{prefix}{name}_", reset)
    for register in holder.iterfind("register"):
        fields = {
            _text(each, "name"): bits for each in register.iterfind("fields/field") if (bits := _bits(each)) is not None
        }
        for index, offset in _repeated(register):
            name = _text(register, "name").replace("[%s]", index).replace("%s", index)
            yield Register(prefix + name, base + offset, _number(register, "resetValue", reset), fields)


def _repeated(element: _Element) -> Iterator[tuple[str, int]]:
    """Yield the index and the offset of each element of an array; one pair if the element is not an array."""
    first, count, step = (_number(element, name, 0) for name in ("addressOffset", "dim", "dimIncrement"))
    indices = _text(element, "dimIndex")
    names = indices.split(",") if "," in indices else None
    for number in range(max(count, 1)):
        yield (names[number] if names and number < len(names) else str(number)), first + number * step


def _bits(element: _Element) -> tuple[int, int] | None:
    """Return the highest and the lowest bit of a field, which SVD writes in three ways; None if it has none."""
    bit_range = re.fullmatch(r"\[(\d+):(\d+)\]", _text(element, "bitRange"))
    if bit_range is not None:
        return int(bit_range[1]), int(bit_range[2])
    if element.find("lsb") is not None and element.find("msb") is not None:
        return _number(element, "msb", 0), _number(element, "lsb", 0)
    if element.find("bitOffset") is not None:
        low = _number(element, "bitOffset", 0)
        return low + _number(element, "bitWidth", 1) - 1, low
    return None


def _text(element: _Element, path: str) -> str:
    return (element.findtext(path) or "").strip()


def _number(element: _Element, path: str, default: int) -> int:
    text = _text(element, path).lower().replace("#", "0b")
    if not text:
        return default
    try:
        return int(text, 0)
    except ValueError:
        if text.isdigit():  # zeros first
            return int(text)
        raise InputError(f"<{path}> is {text}, which is not a number") from None
