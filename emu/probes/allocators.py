"""Allocators: the functions of a firmware that allocate memory, known by their names."""

import re

from emu.firmware import Firmware
from emu.native import (
    HEAP_ALIGNED_CALLOC,
    HEAP_BREAK,
    HEAP_CALLOC,
    HEAP_FREE,
    HEAP_LONGJMP,
    HEAP_MALLOC,
    HEAP_MEMALIGN,
    HEAP_QUERY,
    HEAP_REALLOC,
    HEAP_USABLE_SIZE,
    AllocatorEntry,
)

_NEWLIB = {
    "malloc": HEAP_MALLOC,
    "calloc": HEAP_CALLOC,
    "realloc": HEAP_REALLOC,
    "memalign": HEAP_MEMALIGN,
    "aligned_alloc": HEAP_MEMALIGN,
    "free": HEAP_FREE,
}
"""Each also exists as ``_NAME_r``, whose first argument is newlib's reentrancy structure."""

_OTHERS = {
    "pvPortMalloc": HEAP_MALLOC,
    "pvPortCalloc": HEAP_CALLOC,
    "pvPortRealloc": HEAP_REALLOC,
    "vPortFree": HEAP_FREE,
    "heap_caps_malloc": HEAP_MALLOC,
    "heap_caps_malloc_default": HEAP_MALLOC,
    "heap_caps_malloc_prefer": HEAP_MALLOC,
    "heap_caps_calloc": HEAP_CALLOC,
    "heap_caps_calloc_prefer": HEAP_CALLOC,
    "heap_caps_realloc": HEAP_REALLOC,
    "heap_caps_realloc_default": HEAP_REALLOC,
    "heap_caps_realloc_prefer": HEAP_REALLOC,
    "heap_caps_aligned_alloc": HEAP_MEMALIGN,
    "heap_caps_aligned_calloc": HEAP_ALIGNED_CALLOC,
    "heap_caps_aligned_free": HEAP_FREE,
    "heap_caps_free": HEAP_FREE,
}
_FAMILIES = "malloc, pvPortMalloc, heap_caps_malloc"
_ALLOCATING = (HEAP_MALLOC, HEAP_CALLOC, HEAP_REALLOC, HEAP_MEMALIGN, HEAP_ALIGNED_CALLOC)
_QUERIES = {"malloc_usable_size": HEAP_USABLE_SIZE, "mallinfo": HEAP_QUERY, "malloc_trim": HEAP_QUERY}
_BESIDE = (
    ("_sbrk", HEAP_BREAK, 0),
    ("sbrk", HEAP_BREAK, 0),
    ("_sbrk_r", HEAP_BREAK, 1),
    ("longjmp", HEAP_LONGJMP, 0),
    *((name, function, 0) for name, function in _QUERIES.items()),
    *((f"_{name}_r", function, 1) for name, function in _QUERIES.items()),
)
"""Functions to follow with the allocators: their source of memory, longjmp, and queries of the heap."""

_FUNCTIONS = (
    *((name, function, 0) for name, function in _NEWLIB.items()),
    *((f"_{name}_r", function, 1) for name, function in _NEWLIB.items()),
    *((name, function, 0) for name, function in _OTHERS.items()),
)
"""Name, function and first argument of every allocator function that is followed."""

_ALLOCATOR_LIKE = re.compile(r"\w*malloc(?:_r)?|\w*(?:mem|heap|byte)_?alloc(?:ate)?|_Znwj|_Znaj", re.IGNORECASE)
_CLONE = re.compile(r"(?P<name>.*?)\.(?:constprop|isra)\b.*")
"""The compiler's copy of a function: its arguments differ."""


def allocator_entries(firmware: Firmware) -> list[AllocatorEntry]:
    """Return the entries of the allocator functions that are linked, of ``_sbrk`` and of ``longjmp``."""
    entries: dict[int, AllocatorEntry] = {}
    for name, function, first_argument in (*_FUNCTIONS, *_BESIDE):
        address = firmware.entry_of(name)
        if address is not None:
            entries.setdefault(address, AllocatorEntry(address, function, first_argument))
    return list(entries.values())


def allocates(firmware: Firmware) -> bool:
    """Return whether a known function that allocates memory is linked."""
    return any(entry.function in _ALLOCATING for entry in allocator_entries(firmware))


def why_not_followed(firmware: Firmware) -> str | None:
    """Return why the firmware's allocator cannot be followed; None if it can, or if the firmware has none."""
    if not firmware.symbols:
        return "the ELF has no symbols, so its allocator is not known"
    names = sorted(function.symbol for function in firmware.functions)
    followed = {name for name, _, _ in _FUNCTIONS}
    clones = [name for name in names if (match := _CLONE.fullmatch(name)) and match["name"] in followed]
    if clones:
        return f"{clones[0]} is the compiler's own copy of an allocator function: what its arguments mean is not known"
    linked = [(name, function) for name, function, _ in _FUNCTIONS if firmware.entry_of(name) is not None]
    if any(function in _ALLOCATING for _, function in linked):
        return None
    unknown = [name for name in names if _ALLOCATOR_LIKE.fullmatch(name)]
    if unknown:
        return f"{unknown[0]} looks like an allocator, but is none that is followed ({_FAMILIES})"
    if linked:
        return f"{linked[0][0]} is linked, but nothing that allocates: it may be inlined"
    return None
