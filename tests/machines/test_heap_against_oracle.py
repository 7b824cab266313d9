"""The heap and the timeline against a watch on every single instruction."""

from itertools import pairwise
from pathlib import Path

import oracle
import pytest
from builds import LEVELS, TARGET, build

from emu.firmware import Firmware
from emu.machines import Measurements
from emu.machines.unicorn import UnicornMachine
from emu.record import Allocations, Timeline

PROGRAMS = [("heap_random.c", level, f"-DSEED={seed}") for level in LEVELS for seed in (1, 77, 4242)]
PROGRAMS += [
    ("heap_random.c", "-O2", "--specs=nano.specs"),
    ("heap_values.c", "-O2", "-g"),
    ("newlib_mix.c", "-Os", "-g"),
]


def measure(firmware: Firmware) -> Measurements:
    with UnicornMachine(firmware, TARGET) as machine:
        stop = machine.boot()
        while stop.reason == "yield":
            stop = machine.resume()
        assert stop.reason == "exit", stop
        return machine.measure()


def by_callers(groups: list[Allocations]) -> dict[tuple[str | None, ...], tuple[int, int]]:
    """Return bytes and number by the callers' names, outermost first, whatever their lines are."""
    found: dict[tuple[str | None, ...], tuple[int, int]] = {}
    for group in groups:
        callers = tuple(frame.function for frame in reversed(group.backtrace))
        total, count = found.get(callers, (0, 0))
        found[callers] = total + group.bytes, count + group.allocations
    return found


@pytest.mark.parametrize(("source", "level", "flag"), PROGRAMS)
def test_heap_is_exact(tmp_path: Path, source: str, level: str, flag: str) -> None:
    firmware = Firmware.load(build(tmp_path, source, level, flag), TARGET)

    def name_of(pc: int) -> str:
        function = firmware.function_at(pc)
        return function.name if function else "?"

    watched = oracle.watch(firmware.path, name_of)
    truth = watched.heap
    measured = measure(firmware)
    heap, timeline = measured.heap, measured.timeline
    assert not measured.faults
    assert truth.allocations
    assert (heap.allocations, heap.frees, heap.failed_allocations) == (truth.allocations, truth.frees, truth.failures)
    assert heap.peak_live_bytes == truth.peak
    assert by_callers(heap.peak) == oracle.by_callers(truth.at_peak)
    assert by_callers(heap.leaks) == oracle.by_callers(truth.live)
    region = max(truth.breaks) - min(truth.breaks)
    assert (heap.heap_region_bytes, heap.overhead_bytes) == (region, region - truth.peak)
    assert sum(failed.failures for failed in heap.failed) == truth.failures
    assert timeline is not None
    assert_timeline(timeline, watched, measured)


def assert_timeline(timeline: Timeline, truth: oracle.Truth, measured: Measurements) -> None:
    """A block of code belongs to the interval that it begins in, so that a value may be in a neighbour's interval."""
    assert max(timeline.stack_bytes) == measured.stack_peak_bytes
    assert timeline.heap_bytes is not None
    assert max(timeline.heap_bytes) == measured.heap.peak_live_bytes
    assert timeline.heap_bytes[-1] >= (measured.heap.live_at_exit_bytes or 0)
    assert len(timeline.stack_bytes) == len(timeline.heap_bytes) <= 256
    top = truth.lowest_sp + truth.stack_bytes
    known: dict[int, int] = {}
    for interval, lowest in truth.lowest_by_interval.items():
        wide = interval * 1024 // timeline.interval_instructions
        known[wide] = max(known.get(wide, 0), top - lowest)
    for interval, depth in enumerate(timeline.stack_bytes):
        assert depth <= max(known.get(interval + offset, 0) for offset in (-1, 0, 1))
    for interval, depth in known.items():
        assert depth <= max(timeline.stack_bytes[max(0, interval - 1) : interval + 2])


def test_ten_runs_give_the_same_figures(tmp_path: Path) -> None:
    firmware = Firmware.load(build(tmp_path, "heap_random.c", "-O2", "-DSTEPS=3000"), TARGET)
    first = measure(firmware)
    assert all(measure(firmware) == first for _ in range(9))


def test_the_timeline_doubles_its_intervals_and_keeps_the_peaks(tmp_path: Path) -> None:
    lengths = []
    for steps in (1000, 5000, 20_000):
        firmware = Firmware.load(build(tmp_path, "heap_random.c", "-O2", f"-DSTEPS={steps}"), TARGET)
        measured = measure(firmware)
        timeline = measured.timeline
        assert timeline is not None
        assert timeline.heap_bytes is not None
        assert max(timeline.stack_bytes) == measured.stack_peak_bytes
        assert max(timeline.heap_bytes) == measured.heap.peak_live_bytes
        total = measured.instructions.total or 0
        intervals = len(timeline.stack_bytes)
        assert (intervals - 1) * timeline.interval_instructions < total <= intervals * timeline.interval_instructions
        lengths.append(timeline.interval_instructions)
    assert all(shorter < longer for shorter, longer in pairwise(lengths))
