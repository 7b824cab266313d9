"""Instructions by call path as collapsed stacks: one line ``a;b;c 123`` for each, as flame graph tools read them."""

from collections import Counter
from collections.abc import Sequence

from emu.record import Profile, Run


def render_collapsed(runs: Sequence[Run]) -> str:
    """Return the stacks of the runs that have a profile; where there are several runs, each is a first frame."""
    counts: Counter[str] = Counter()
    for run in runs:
        if run.profile is None:
            continue
        start = [f"{run.model} on {run.target}"] if len(runs) > 1 else []
        for stack, path in zip(call_stacks(run.profile), run.profile.call_paths, strict=True):
            if path.self_instructions:
                names = (str(run.profile.call_paths[index].function) for index in stack)
                counts[";".join([*start, *names])] += path.self_instructions
    return "".join(f"{stack} {count}\n" for stack, count in counts.items())


def call_stacks(profile: Profile) -> list[list[int]]:
    """Return for each call path the indices of the paths that lead to it, outermost first, and its own."""
    stacks: list[list[int]] = []
    for index, path in enumerate(profile.call_paths):
        stacks.append([*(stacks[path.caller] if path.caller is not None else []), index])
    return stacks
