"""Suppressions: a file that lists accepted findings of the memory checker.

    [[suppress]]
    kind = "uninitialised_branch"   # optional; * and ? match anything
    function = "vendor_*"           # optional; the name in the source, or the linker's name
    file = "*/vendor/*.c"           # optional
    reason = "reads padding, reported to the vendor"

A finding is suppressed if the kinds of all its errors match, and one frame of the backtrace matches function and file.
"""

from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from emu.reading import read_toml
from emu.record import Location, MemoryCheck, MemoryFinding


class Suppression(BaseModel):
    """One entry of a suppression file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: str = "*"
    """A pattern for the finding's kind; * and ? match anything."""
    function: str = "*"
    """A pattern for the function of any frame, by its name in the source or its linker's name."""
    file: str = "*"
    """A pattern for the source file of the frame whose function matches."""
    reason: str
    """Why the finding is accepted."""

    def matches(self, finding: MemoryFinding) -> bool:
        """Return whether this entry accepts the finding."""
        kinds = [finding.kind, *(other.kind for other in finding.others)]
        return all(fnmatchcase(kind, self.kind) for kind in kinds) and any(
            map(self._matches_place, [finding, *finding.backtrace])
        )

    def _matches_place(self, place: Location) -> bool:
        names = {place.function or "", place.symbol or place.function or ""}
        named = self.function in names or any(fnmatchcase(name, self.function) for name in names)
        return named and fnmatchcase(place.file or "", self.file)


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid")

    suppress: list[Suppression] = []


def load_suppressions(path: Path) -> list[Suppression]:
    """Read a suppression file. Raises InputError if the file is missing or is not a suppression file."""
    return read_toml(path, _File.model_validate, "a file of suppressions").suppress


def suppress(check: MemoryCheck, suppressions: Sequence[Suppression]) -> MemoryCheck:
    """Return ``check`` without the accepted findings, and with their number."""
    left = [finding for finding in check.findings if not any(s.matches(finding) for s in suppressions)]
    return check.model_copy(update={"findings": left, "suppressed": len(check.findings) - len(left)})
