"""The ESP32-S3's heap, timeline, lines and coverage in QEMU, against what the program counts itself."""

import shutil
import struct
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import pytest
from builds import LEVELS
from xtensa_builds import SOURCES, TARGET, build

from emu.firmware import Firmware
from emu.instruments import Instruments
from emu.machines import Measurements
from emu.machines.qemu import QemuMachine

COMMAND = "qemu-system-xtensa"
NAMES = ("pvPortMalloc", "pvPortCalloc", "pvPortRealloc", "vPortFree")
NEWLIB = ("malloc", "calloc", "realloc", "free")
DEEP = "-Wl,--defsym=__stack_size=16384"
DEEPEST = 24
"""The most calls of at_depth that are active at once in tests/firmware/xtensa/heap.c."""
pytestmark = pytest.mark.skipif(shutil.which(COMMAND) is None, reason=f"{COMMAND} is not installed")


class Counted(NamedTuple):
    """``struct truth`` of tests/firmware/xtensa/heap.c, but for the bytes by site."""

    allocations: int
    frees: int
    failures: int
    live: int
    peak: int


def program(directory: Path, *flags: str) -> Firmware:
    return Firmware.load(build(directory, "heap.c", DEEP, *flags), TARGET)


def renamed(names: tuple[str, ...]) -> list[str]:
    return ["-fno-builtin", *(f"-D{name}={other}" for name, other in zip(NAMES, names, strict=True))]


def run(firmware: Firmware) -> tuple[Counted, dict[str, int], Measurements, Measurements]:
    """Return what the program has counted when it yields, the bytes at the peak by function, and the figures then and
    at the end."""
    symbol = firmware.symbol("truth")
    assert symbol is not None
    with QemuMachine(firmware, TARGET, Instruments(profile=True, coverage=True)) as machine:
        stop = machine.boot()
        assert stop.reason == "yield", stop
        numbers = struct.unpack("<11I", machine.read(symbol.address, 44))
        first = machine.measure()
        stop = machine.resume()
        assert stop.reason == "exit", stop
        sites = zip(("by_malloc", "by_calloc", "by_realloc"), numbers[8:], strict=True)
        return Counted(*numbers[:5]), dict(sites), first, machine.measure()


def line_of(mark: str, source: str = "heap.c") -> int:
    lines = (SOURCES / source).read_text().splitlines()
    (number,) = (number for number, line in enumerate(lines, 1) if mark in line)
    return number


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("flags", [["-DCALLS=400"], ["-DCALLS=20000"], renamed(NEWLIB)], ids=["few", "many", "newlib"])
def test_the_heap_is_what_the_program_counts(tmp_path: Path, level: str, flags: list[str]) -> None:
    firmware = program(tmp_path, level, *flags)
    counted, by_site, measured, _ = run(firmware)
    heap, timeline = measured.heap, measured.timeline
    assert counted.failures > 0
    assert counted == Counted(
        heap.allocations or 0,
        heap.frees or 0,
        heap.failed_allocations or 0,
        heap.live_at_exit_bytes or 0,
        heap.peak_live_bytes or 0,
    )
    at_peak: Counter[str] = Counter()
    deepest = 0
    for group in heap.peak:
        at_peak[str(group.function)] += group.bytes
        functions = [frame.function for frame in group.backtrace for _ in range(frame.times)]
        assert functions == [group.function, *["at_depth"] * (len(functions) - 3), "main", "_start"]
        assert len(functions) - 3 <= DEEPEST
        deepest = max(deepest, len(functions))
    assert at_peak == Counter({site: size for site, size in by_site.items() if size})
    assert deepest > 16, "deeper than the windows that the core has"
    assert sum(leak.bytes for leak in heap.leaks) == counted.live
    assert sum(failed.failures for failed in heap.failed) == counted.failures
    assert heap.peak_beside_static_bytes == 0
    assert "`ucHeap`" in measured.not_measured["heap_region_bytes"]
    assert timeline is not None
    assert timeline.heap_bytes is not None
    assert max(timeline.heap_bytes) == counted.peak
    assert max(timeline.stack_bytes) == measured.stack_peak_bytes
    assert len(timeline.heap_bytes) == len(timeline.stack_bytes) <= 256
    assert measured.faults == ()


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize(
    ("flag", "kind", "words"),
    [
        ("TWICE", "double_free", "a block of 10 bytes, allocated by main"),
        ("INSIDE", "invalid_free", "8 bytes into a block of 40 bytes, allocated by main"),
    ],
)
def test_a_wrong_free_is_found_at_its_line(tmp_path: Path, level: str, flag: str, kind: str, words: str) -> None:
    _, _, first, last = run(program(tmp_path, level, f"-D{flag}"))
    assert first.faults == ()
    (fault,) = last.faults
    assert (fault.kind, fault.function, fault.line) == (kind, "main", line_of(f"/* {flag} */"))
    assert words in fault.detail
    assert [frame.function for frame in fault.backtrace] == ["main", "_start"]


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("asked", [51_200, 12_800])
def test_a_null_pointer_and_the_refusal_that_made_it_are_in_one_report(tmp_path: Path, level: str, asked: int) -> None:
    firmware = Firmware.load(build(tmp_path, "null_buffer.c", level, f"-DBYTES={asked}"), TARGET)
    with QemuMachine(firmware, TARGET) as machine:
        stop = machine.boot()
        measured = machine.measure()
    if asked < 20_000:
        assert (stop.reason, stop.exit_status, measured.faults, measured.heap.failed) == ("exit", 0, (), [])
        return
    (fault,) = measured.faults
    assert (fault.kind, fault.address, fault.function) == ("unmapped_write", 0, "store")
    assert "a null pointer" in fault.detail
    assert [frame.function for frame in fault.backtrace] == ["store", "main", "_start"]
    (refused,) = measured.heap.failed
    assert (refused.largest_bytes, refused.failures, refused.live_bytes) == (51_200, 1, 0)
    assert (refused.function, refused.line) == ("main", line_of("/* ask */", "null_buffer.c"))


def test_an_unknown_allocator_is_named(tmp_path: Path) -> None:
    firmware = program(tmp_path, *renamed(("tlsf_malloc", "tlsf_calloc", "tlsf_realloc", "tlsf_free")))
    _, _, measured, _ = run(firmware)
    assert not measured.heap.attached
    assert "looks like an allocator" in measured.not_measured["heap_peak_bytes"]
    assert measured.timeline is not None
    assert measured.timeline.heap_bytes is None


@pytest.mark.parametrize("level", LEVELS)
def test_lines_and_coverage_are_what_the_program_counts(tmp_path: Path, level: str) -> None:
    counted, _, first, last = run(program(tmp_path, level))
    for measured, ended in ((first, 0), (last, 1)):
        profile, coverage = measured.profile, measured.coverage
        assert profile is not None
        assert coverage is not None
        total = sum(sum(lines.values()) for lines in profile.by_line.values()) + profile.without_line
        assert total == measured.instructions.total == sum((measured.instructions.by_function or {}).values())
        executions = {function.function: function.executions for function in coverage.functions}
        assert executions["by_malloc"] + executions["by_calloc"] + executions["by_realloc"] == (
            counted.allocations + counted.failures
        )
        assert executions["main"] == 1
        (lines,) = (lines for file, lines in coverage.lines.items() if file.endswith("heap.c"))
        assert lines[line_of("emu_exit(0);")] == ended
        if level == "-O0":  # else the compiler has made several copies of a line, or mixed it with others
            assert lines[line_of("truth.failures++;")] == counted.failures
            assert lines[line_of("truth.allocations++;")] == counted.allocations


CALLS = {
    "_start": {"main"},
    "main": {"at_depth", "random", "pvPortMalloc", "vPortFree"},
    "at_depth": {"at_depth", "by_malloc", "by_calloc", "by_realloc", "give_back"},
    "by_malloc": {"pvPortMalloc", "note"},
    "by_calloc": {"pvPortCalloc", "note"},
    "by_realloc": {"pvPortRealloc", "note", "count"},
    "give_back": {"vPortFree", "count"},
    "note": {"count"},
    "pvPortMalloc": {"first"},
    "pvPortCalloc": {"pvPortMalloc"},
    "pvPortRealloc": {"pvPortMalloc", "vPortFree"},
    "vPortFree": {"join_free"},
    "join_free": {"first"},
}
"""Who calls whom in tests/firmware/xtensa/heap.c, where nothing is inlined."""


def test_call_paths_are_those_of_the_source(tmp_path: Path) -> None:
    """Through windows that overflow and underflow on the way, whose handlers are called by whom they interrupt."""
    _, _, _, measured = run(program(tmp_path, "-O0"))
    assert measured.profile is not None
    assert not measured.profile.cut
    paths: list[tuple[str, ...]] = []
    depths: list[int] = []
    """The calls of at_depth on each path; folded ones count too."""
    by_function: Counter[str] = Counter()
    for path in measured.profile.call_paths:
        paths.append((*(paths[path.caller] if path.caller is not None else ()), str(path.function)))
        depth = depths[path.caller] if path.caller is not None else 0
        depths.append(depth + (path.times if path.function == "at_depth" else 0))
        by_function[str(path.function)] += path.self_instructions
    assert by_function == Counter(measured.instructions.by_function)
    assert all(path[0] == "_start" for path in paths)
    edges = {edge for path in paths for edge in pairwise(path)}
    handlers = {edge for edge in edges if edge[1].startswith(("_WindowOverflow", "_WindowUnderflow"))}
    assert handlers
    assert edges - handlers == {(caller, callee) for caller, callees in CALLS.items() for callee in callees} - {
        ("main", "pvPortMalloc"),  # only where a wrong free is asked for
        ("main", "vPortFree"),
    }
    assert max(depths) == DEEPEST
