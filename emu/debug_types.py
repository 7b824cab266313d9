"""The way from a variable to a member that it leads to, by the types in the debug information."""

from collections.abc import Iterator, Sequence

from elftools.dwarf.die import DIE
from elftools.dwarf.dwarfinfo import DWARFInfo

from emu.debug_info import Member

_POINTER_BYTES = 4
_SAME = ("DW_TAG_typedef", "DW_TAG_const_type", "DW_TAG_volatile_type", "DW_TAG_restrict_type")
_STRUCTURES = ("DW_TAG_structure_type", "DW_TAG_class_type", "DW_TAG_union_type")
_CHARACTERS = (6, 8)
"""DW_ATE_signed_char and DW_ATE_unsigned_char."""


def find_member(dwarf: DWARFInfo, variable: str, path: Sequence[str]) -> Member | None:
    """Return the way from ``variable`` through the members ``path``; None if there is none.

    A pointer is followed; of an array of structures, the first one is taken.
    """
    for found in _variables(dwarf, variable):
        member = _member(found, path)
        if member is not None:
            return member
    return None


def _variables(dwarf: DWARFInfo, name: str) -> Iterator[DIE]:
    for unit in dwarf.iter_CUs():
        for entry in unit.get_top_DIE().iter_children():
            named = entry.attributes.get("DW_AT_name")
            if entry.tag == "DW_TAG_variable" and named is not None and named.value == name.encode():
                yield entry


def _member(variable: DIE, path: Sequence[str]) -> Member | None:
    offsets, kind = [0], _type_of(variable)
    for name in path:
        while kind is not None and kind.tag in ("DW_TAG_pointer_type", "DW_TAG_array_type"):
            if kind.tag == "DW_TAG_pointer_type":
                offsets.append(0)
            kind = _type_of(kind)
        if kind is None or kind.tag not in _STRUCTURES:
            return None
        member = next((each for each in kind.iter_children() if _name_of(each) == name), None)
        if member is None:
            return None
        offsets[-1] += member.attributes["DW_AT_data_member_location"].value if kind.tag != "DW_TAG_union_type" else 0
        kind = _type_of(member)
    if kind is None:
        return None
    if kind.tag == "DW_TAG_pointer_type":
        pointee = _type_of(kind)
        is_text = pointee is not None and _is_character(pointee)
        return Member((*offsets, 0), None) if is_text else Member(tuple(offsets), _POINTER_BYTES)
    return Member(tuple(offsets), _size_of(kind))


def _name_of(entry: DIE) -> str | None:
    name = entry.attributes.get("DW_AT_name")
    return None if name is None else name.value.decode(errors="replace")


def _type_of(entry: DIE) -> DIE | None:
    """Return the type of a variable, a member or a pointer, by its own name; None if it is void."""
    while "DW_AT_type" in entry.attributes:
        entry = entry.get_DIE_from_attribute("DW_AT_type")
        if entry.tag not in _SAME:
            return entry
    return None


def _is_character(kind: DIE) -> bool:
    encoding = kind.attributes.get("DW_AT_encoding")
    return encoding is not None and encoding.value in _CHARACTERS


def _size_of(kind: DIE) -> int | None:
    if kind.tag != "DW_TAG_array_type":
        return kind.attributes["DW_AT_byte_size"].value
    element = _type_of(kind)
    bounds = [each.attributes.get("DW_AT_upper_bound") for each in kind.iter_children()]
    if element is None or len(bounds) != 1 or bounds[0] is None:
        return None
    return (bounds[0].value + 1) * element.attributes["DW_AT_byte_size"].value
