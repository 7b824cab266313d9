"""The numbers behind the drawings of the HTML page."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from emu.record import Coverage, Profile, RegionUse


@dataclass(frozen=True)
class Part:
    """One part of a bar."""

    name: str
    bytes: int
    start: float
    """The left end. ``start`` and ``width`` are shares of the whole bar, 0..1."""
    width: float


def region_parts(use: RegionUse) -> list[Part]:
    """Return the parts of a memory's bar. If the parts need more than the memory has, they share the bar."""
    named = {
        "static": use.static_bytes,
        "heap": use.heap_bytes or 0,
        "stack": use.stack_bytes or 0,
        "mailbox": use.mailbox_bytes,
    }
    whole = max(use.size_bytes, sum(named.values()), 1)
    parts, start = [], 0
    for name, used in named.items():
        if used:
            parts.append(Part(name, used, start / whole, used / whole))
            start += used
    return parts


def level_path(levels: Sequence[int], most: int) -> str:
    """Return an SVG path of the area under ``levels``: each is one unit wide, ``most`` is at y = 0, 0 at y = 100."""
    path, last = ["M0 100"], None
    for index, level in enumerate(levels):
        if level != last:
            path.append(f"H{index}V{100 - 100 * level / max(most, 1):.4g}")
            last = level
    return "".join([*path, f"H{len(levels)}V100Z"])


@dataclass(frozen=True)
class FileCoverage:
    """How much of one source file ran."""

    file: str
    lines: int
    lines_run: int
    never_run: list[str]
    """The lines that never ran, as ``12`` or ``15-18``."""

    @property
    def share(self) -> float:
        """The share of the lines with code that ran, 0..1."""
        return self.lines_run / self.lines if self.lines else 1.0


def coverage_by_file(coverage: Coverage) -> list[FileCoverage]:
    """Return the coverage of each file, the least covered first."""
    files = [
        FileCoverage(file, len(counts), sum(map(bool, counts.values())), [*_gaps(sorted(counts.items()))])
        for file, counts in coverage.lines.items()
    ]
    return sorted(files, key=lambda file: (file.share, file.file))


def _gaps(counts: Sequence[tuple[int, int]]) -> Iterator[str]:
    """Yield the stretches of lines with code that never ran."""
    first = last = None
    for line, executions in [*counts, (0, 1)]:
        if executions == 0:
            first, last = first or line, line
        elif first is not None:
            yield str(first) if first == last else f"{first}-{last}"
            first = None


def hottest_lines(profile: Profile) -> list[tuple[str, int]]:
    """Return every line with its instructions, the most executed first."""
    counts = [(f"{file}:{line}", number) for file, lines in profile.by_line.items() for line, number in lines.items()]
    return sorted(counts, key=lambda counted: -counted[1])
