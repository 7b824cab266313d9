"""One mistake is one finding: the errors that one call made about one piece of memory are shown together."""

from collections.abc import Sequence
from typing import NamedTuple

from emu.record import MemoryFinding, OtherError

_WORK_ON_ARGUMENTS = frozenset(
    f"{prefix}{name}"
    for name in (
        *("memccpy", "memchr", "memcmp", "memcpy", "memmove", "mempcpy", "memrchr", "memset", "memclr"),
        *("stpcpy", "stpncpy", "strcat", "strchr", "strcmp", "strcpy", "strlen", "strncat", "strncmp", "strncpy"),
        *("memclr4", "memclr8", "memcpy4", "memcpy8", "memmove4", "memmove8", "memset4", "memset8", "strnlen"),
    )
    for prefix in ("", "__aeabi_")
)
"""Functions that read and write only what their arguments name, so each of their errors is a mistake of their call."""


class Described(NamedTuple):
    """A finding in words, and the memory that it is about."""

    finding: MemoryFinding
    memory: str | None
    """The owner of the memory, without a place in it; None if the finding is about no owner's memory."""
    continues: int | None = None
    """The index of the earlier finding whose access goes on here, such as a copy over two blocks; None if none does."""

    @property
    def access(self) -> str | None:
        """``read`` or ``write``; None if the finding is about no access."""
        return next((access for access in ("read", "write") if access in self.finding.kind.split("_")), None)


def by_mistake(described: Sequence[Described]) -> list[MemoryFinding]:
    """Return one finding for each mistake, in the order of the first errors.

    A mistake is described by its first error; a mistake of a function such as memcpy by its first write, if any.
    """
    mistakes: list[list[Described]] = []
    with_key: dict[object, list[list[Described]]] = {}
    taken: list[list[Described]] = []
    for each in described:
        alike = with_key.setdefault(_key_of(each), [])
        mistake = next((mistake for mistake in reversed(alike) if _is_of(each, mistake)), None)
        if each.continues is not None:
            goes_on = taken[each.continues]
            if described[each.continues].finding.pc == each.finding.pc or any(goes_on is other for other in alike):
                mistake = goes_on
        if mistake is None:
            mistake = []
            mistakes.append(mistake)
            alike.append(mistake)
        mistake.append(each)
        taken.append(mistake)
    return [_joined([each.finding for each in mistake]) for mistake in mistakes]


def _is_of(each: Described, mistake: list[Described]) -> bool:
    """Return whether an error belongs to a mistake with its key: a call with another block is another mistake."""
    accesses = [other for other in mistake if other.access == each.access is not None]
    owners = [other.memory for other in accesses]
    return each.finding.function not in _WORK_ON_ARGUMENTS or not accesses or each.memory in owners


def _key_of(described: Described) -> object:
    """Return a key that is equal for errors of one mistake; a function such as memcpy can make several with one key."""
    finding, memory = described.finding, described.memory
    callers = tuple(frame.pc for frame in finding.backtrace[1:])
    if finding.function in _WORK_ON_ARGUMENTS and callers:
        return finding.function, callers
    if finding.function is None or memory is None:
        return finding.pc, finding.kind
    family = finding.kind.removesuffix("_read").removesuffix("_write").removeprefix("read_").removeprefix("write_")
    return finding.function, callers, family, memory


def _joined(findings: list[MemoryFinding]) -> MemoryFinding:
    first, *others = findings
    if first.function in _WORK_ON_ARGUMENTS:
        first = next((each for each in findings if "write" in each.kind), first)
        others = [each for each in findings if each is not first]
    return first.model_copy(
        update={
            "others": [
                OtherError(
                    function=other.function,
                    file=other.file,
                    line=other.line,
                    kind=other.kind,
                    pc=other.pc or 0,
                    address=other.address,
                    times=other.times,
                    memory=other.memory,
                )
                for other in others
            ]
        }
    )
