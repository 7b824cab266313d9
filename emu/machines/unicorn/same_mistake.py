"""One mistake is one finding: the errors that one call made about one piece of memory are shown together."""

from collections.abc import Iterable
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


def by_mistake(described: Iterable[Described]) -> list[MemoryFinding]:
    """Return one finding for each mistake, in the order of the first errors.

    A mistake is described by its first error; a mistake of a function such as memcpy by its first write, if any.
    """
    mistakes: dict[object, list[MemoryFinding]] = {}
    for each in described:
        mistakes.setdefault(_mistake_of(each), []).append(each.finding)
    return [_joined(findings) for findings in mistakes.values()]


def _mistake_of(described: Described) -> object:
    """Return a key that is equal for errors of one mistake."""
    finding, memory = described
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
                )
                for other in others
            ]
        }
    )
