"""The layout of call paths against a layout worked out by hand, and against the sums of a real profile."""

from itertools import pairwise

import pytest

from emu.record import CallPath, Run
from emu.reports.flame_graph import lay_out


def path(function: str, caller: int | None, own: int, inclusive: int) -> CallPath:
    return CallPath(function=function, caller=caller, self_instructions=own, inclusive_instructions=inclusive)


def test_a_tree_by_hand():
    paths = [
        path("reset", None, 100, 1000),
        path("small", 0, 200, 200),
        path("large", 0, 400, 700),
        path("inner", 2, 300, 300),
        path("tiny", 2, 0, 0),
    ]
    graph = lay_out(paths)
    placed = [(f.path.function, f.depth, f.start, f.width, f.own) for f in graph.frames]
    assert placed == [
        ("reset", 0, 0.0, 1.0, 0.1),
        ("large", 1, 0.0, 0.7, 0.4),
        ("inner", 2, 0.0, 0.3, 0.3),
        ("small", 1, 0.7, 0.2, 0.2),
    ]
    assert (graph.left_out, graph.depth) == (1, 3)


def test_a_recursion_as_deep_as_it_likes():
    depth = 5000
    paths = [path("deep", index - 1 if index else None, 1, depth - index) for index in range(depth)]
    graph = lay_out(paths)
    assert graph.depth == len(graph.frames) < 200
    assert graph.left_out == depth - len(graph.frames)


def test_nothing_at_all():
    assert lay_out([]).frames == []
    assert lay_out([path("idle", None, 0, 0)]).depth == 0


def test_a_real_profile_fits_into_its_callers(demos: list[Run]):
    profile = demos[0].profile
    assert profile is not None
    graph = lay_out(profile.call_paths)
    ends: dict[int, float] = {}
    stack: list[tuple[float, float]] = []
    for frame in graph.frames:
        del stack[frame.depth :]
        if stack:
            start, end = stack[-1]
            assert start - 1e-9 <= frame.start
            assert frame.start + frame.width <= end + 1e-9
        stack.append((frame.start, frame.start + frame.width))
        assert frame.start >= ends.get(frame.depth, 0.0) - 1e-9, "two frames of a level overlap"
        ends[frame.depth] = frame.start + frame.width
    for frame, following in pairwise(graph.frames):
        assert following.depth <= frame.depth + 1
    counts = demos[0].instructions
    own = sum(frame.own for frame in graph.frames if frame.path.function == "scan_and_gate")
    assert counts.total is not None
    assert own == pytest.approx(counts.by_function["scan_and_gate"] / counts.total)
