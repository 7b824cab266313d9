"""Names for files of one name: the shortest ends of their paths that differ."""

from collections.abc import Collection, Sequence
from pathlib import Path


def told_apart(named: Sequence[tuple[str, Path]]) -> list[str]:
    """Return a name for each file, given with its usual name; files of one name are named by the ends of their paths.

    Two equal paths are one file, which has one name.
    """
    paths: dict[str, set[Path]] = {}
    for name, path in named:
        paths.setdefault(name, set()).add(path.absolute())
    return [_shortest_end(path.absolute(), paths[name]) if len(paths[name]) > 1 else name for name, path in named]


def _shortest_end(path: Path, same: Collection[Path]) -> str:
    """Return the end of ``path`` that no other path has: without suffixes, unless only they differ."""
    bare = {each: each.with_suffix("") for each in same}
    ends = bare if len(set(bare.values())) == len(same) else {each: each for each in same}
    others = [end.parts for each, end in ends.items() if each != path]
    parts = ends[path].parts
    return next(
        str(Path(*parts[-count:]))
        for count in range(1, len(parts) + 1)
        if all(other[-count:] != parts[-count:] for other in others)
    )
