"""Instructions by call path as collapsed stacks, for flame graph tools: a line ``a;b;c 123`` for each path."""

from collections import Counter
from collections.abc import Iterator, Sequence

from emu.printable import printable
from emu.record import CallPath, Run
from emu.wording import repeated, title


def render_collapsed(runs: Sequence[Run]) -> str:
    """Return the stacks of the runs that have a profile; if there are several runs, each is a first frame."""
    counts: Counter[str] = Counter()
    for run in runs:
        start = [_frame(title(run))] if len(runs) > 1 else []
        paths = run.profile.call_paths if run.profile is not None else []
        for path in paths:
            if path.self_instructions:
                functions = reversed([*_outwards(paths, path)])
                counts[";".join([*start, *functions])] += path.self_instructions
    return "".join(f"{stack} {count}\n" for stack, count in counts.items())


def _outwards(paths: list[CallPath], path: CallPath) -> Iterator[str]:
    yield _frame(f"{path.function}{repeated(path)}")
    while path.caller is not None:
        path = paths[path.caller]
        yield _frame(f"{path.function}{repeated(path)}")


def _frame(name: str) -> str:
    return printable(name).replace(";", ":")  # a semicolon ends a frame
