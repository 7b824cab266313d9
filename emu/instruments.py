"""Instruments: what a run can measure on request. Each is declared here, with its help and what it needs.

``emu.emulators`` says which emulator has which instrument. A machine takes all instruments of a run as one object.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING

from emu.emulators import EMULATORS, How
from emu.errors import InputError

if TYPE_CHECKING:  # the command line's help reads the instruments, and needs no library for that
    from emu.targets import Target


def declared(help_text: str, *, needs: str | None = None) -> dict[str, str | None]:
    """Return the metadata of an option's field: its help, and the other option that it needs."""
    return {"help": help_text, "needs": needs}


@dataclass(frozen=True)
class Limits:
    """The limits that end a ``boot`` or ``resume`` that would not end by itself."""

    instructions: int = 10_000_000_000
    seconds: float = 60.0
    """Seconds of the emulator's work (see ``emu.machines.time_limit``)."""


@dataclass(frozen=True)
class Instruments:
    """What a machine measures on request, and when it has to end."""

    traffic: bool = field(default=False, metadata=declared("Also count loads and stores by region (slower)."))
    profile: bool = field(
        default=False, metadata=declared("Also count instructions by line and call path (see `emu report`).")
    )
    coverage: bool = field(
        default=False, metadata=declared("Also tell which lines and functions ran (see `emu report`).")
    )
    memcheck: bool = field(
        default=False,
        metadata=declared(
            "Find memory errors: access outside a heap block or variable, after free, below SP or through a null "
            "pointer; uninitialised values that decide a branch, an address or an output (about 4 times slower)."
        ),
    )
    replace_allocator: bool = field(
        default=False,
        metadata=declared(
            "With --memcheck: move the heap's blocks into memory that the board does not have, with gaps between "
            "blocks, and reuse freed blocks last: finds overruns that go further.",
            needs="memcheck",
        ),
    )
    stack_peak: bool = field(
        default=False,
        metadata=declared(
            "Also measure each stack's reserved peak if that takes a second run, which is several times slower (try "
            "it with --limit 1)."
        ),
    )
    limits: Limits = field(default_factory=Limits)


NOTHING_ON_REQUEST = Instruments()

_MEASURED_BY = {
    "profile": "profile",
    "coverage": "coverage",
    "memory_check": "memcheck",
    "timeline": "timeline",
    "by_function": "by_function",
    "loads_by_region": "traffic",
    "stores_by_region": "traffic",
}
"""Names in a record that only some emulators measure, each with its name in ``Emulator.measures``."""


def help_of(options: type[Instruments], name: str) -> str:
    """Return the help of the option ``name``, and for an instrument the emulators that have it."""
    text = next(each.metadata["help"] for each in fields(options) if each.name == name)
    by_how: dict[How, list[str]] = {}
    for emulator, row in EMULATORS.items():
        if name in row.measures:
            by_how.setdefault(row.measures[name], []).append(emulator)
    phrases = {"on request": "in {}", "in a second run": "in {}, in a second run", "always": "always in {}"}
    where = [phrase.format(_listed(by_how[kind])) for kind, phrase in phrases.items() if kind in by_how]
    return f"{text} {'; '.join(where).capitalize()}." if where else text


def how(target: Target, name: str) -> How | None:
    """Return when the target measures ``name``; None if it never does."""
    return target.emulator.measures.get(name)


def why_not(target: Target, names: Sequence[str]) -> str:
    """Return a sentence: the target measures none of ``names``, and which targets measure all of them.

    The sentence names targets of the same board; if there are none, it names targets of emu's other boards.
    """
    from emu.targets import Target, load_targets

    def that_have_it(targets: Sequence[Target]) -> list[str]:
        return sorted(other.name for other in targets if all(how(other, name) for name in names))

    board = target.board
    found = that_have_it([Target(board, emulator) for emulator in board.emulators])
    found = found or that_have_it([other for other in load_targets().values() if other.board.name != board.name])
    lacks = f"{target.name} has no {' or '.join(map(spelling, names))}"
    if not found:
        return f"{lacks}, and no target has"
    return f"{lacks}; {_listed(found)} {'has' if len(found) == 1 else 'have'} it"


def never_measured(target: Target) -> dict[str, str]:
    """Return the reason for each name in a record that the target never measures."""
    return {figure: why_not(target, [name]) for figure, name in _MEASURED_BY.items() if how(target, name) is None}


def spelling(name: str) -> str:
    """Return the option ``name`` as users write it; a name that is not an option is returned as it is."""
    is_option = any(each.name == name for each in fields(Instruments))
    return f"--{name.replace('_', '-')}" if is_option else name


def _listed(names: Sequence[str]) -> str:
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))


def require(options: Instruments, target: Target) -> None:
    """Raise InputError if ``target`` lacks a requested instrument, or an option lacks another one that it needs."""
    if not target.emulator.counts_instructions and options.limits.instructions != Limits.instructions:
        raise InputError(f"{target.name} counts no instructions; limit a run without end by --max-seconds")
    given = [each for each in fields(options) if each.metadata and getattr(options, each.name) != each.default]
    for each in given:
        needed = each.metadata["needs"]
        if needed and not getattr(options, needed) and how(target, needed) != "always":
            raise InputError(f"--{each.name.replace('_', '-')} needs {spelling(needed)}")
    instruments = {each.name for each in fields(Instruments)}
    lacking = [each.name for each in given if each.name in instruments and how(target, each.name) is None]
    if lacking:
        raise InputError(why_not(target, lacking))
