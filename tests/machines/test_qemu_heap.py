"""QEMU's heap, timeline, lines and coverage: Unicorn's own figures on the same programs, or none with a reason."""

import shutil
from pathlib import Path

import oracle
import pytest
from builds import LEVELS, TARGET, firmware
from test_heap_against_oracle import assert_timeline

from emu.instruments import Instruments
from emu.machines import Measurements
from emu.machines.qemu import QemuMachine
from emu.machines.unicorn import UnicornMachine
from emu.targets import find_target

COMMAND = "qemu-system-arm"
QEMU = find_target("stm32h7-qemu")
pytestmark = pytest.mark.skipif(shutil.which(COMMAND) is None, reason=f"{COMMAND} is not installed")

PROGRAMS = [
    *(("heap_values.c", level) for level in LEVELS),
    *(("heap_4.c", level, "-DWITH_MALLOC") for level in LEVELS),
    ("heap_3.c", "-O0"),
    ("heap_3.c", "-O2"),
    ("heap_caps.c", "-O2"),
    ("heap_section.c", "-O2"),
    ("heap_random.c", "-Os", "-DSEED=77"),
    ("heap_random.c", "-O2", "--specs=nano.specs"),
    ("heap_paths.c", "-DPATHS=2000", "-DLARGE=100"),
    ("heap_paths.c", "-DPATHS=2000", "-DLARGE=20000"),
    *(
        ("heap_faults.c", level, "-Wno-free-nonheap-object", f"-DFAULT={fault}()")
        for level, fault in zip(
            LEVELS * 2, ("inside", "of_variable", "of_stack", "of_constant", "resized", "twice"), strict=True
        )
    ),
    ("heap_meets_stack.c", "-DCASE=heap_comes()", "-DHEAP_BYTES=126000"),
    ("heap_meets_stack.c", "-O0", "-DCASE=(block=malloc(HEAP_BYTES),sum+=stack_comes(40))", "-DHEAP_BYTES=100000"),
    ("heap_meets_stack.c", "-DCASE=(block=malloc(100000),sum+=stack_comes(40))", "-DHEAP_BYTES=9", "-DWITHOUT_BREAK"),
    ("heap_meets_stack.c", "-DCASE=in_turns()", "-DHEAP_BYTES=40000"),
    ("other_allocator.c", "-DNAME=tlsf_malloc"),
    ("exact.S",),
]


def at_each_stop(machine: QemuMachine | UnicornMachine) -> list[Measurements]:
    with machine:
        stop = machine.boot()
        measured = [machine.measure()]
        while stop.reason == "yield":
            stop = machine.resume()
            measured.append(machine.measure())
        assert stop.reason == "exit", stop
        return measured


@pytest.mark.parametrize("program", PROGRAMS, ids=" ".join)
def test_the_heap_is_unicorns(tmp_path: Path, program: tuple[str, ...]) -> None:
    built = firmware(tmp_path, *program)
    expected = at_each_stop(UnicornMachine(built, TARGET))
    measured = at_each_stop(QemuMachine(built, QEMU))
    assert [m.heap for m in measured] == [m.heap for m in expected]
    assert [m.faults for m in measured] == [m.faults for m in expected]
    assert [m.heap_region for m in measured] == [m.heap_region for m in expected]
    assert [m.stack_touched_bytes for m in measured] == [m.stack_touched_bytes for m in expected]
    assert measured[-1].not_measured.get("heap_peak_bytes") == expected[-1].not_measured.get("heap_peak_bytes")


def test_more_calls_than_the_table_holds_are_all_there(tmp_path: Path) -> None:
    """120,000 events go through a table of half as many, while nothing stops QEMU from outside."""
    (measured,) = at_each_stop(QemuMachine(firmware(tmp_path, "heap_storm.c"), QEMU))
    heap = measured.heap
    assert (heap.allocations, heap.frees, heap.peak_live_bytes, heap.live_at_exit_bytes) == (60_000, 60_000, 16, 0)


@pytest.mark.parametrize(
    ("source", "level"), [("heap_random.c", "-O0"), ("heap_random.c", "-O2"), ("heap_values.c", "-Os")]
)
def test_the_timeline_is_that_of_the_watch_on_each_instruction(tmp_path: Path, source: str, level: str) -> None:
    built = firmware(tmp_path, source, level)
    watched = oracle.watch(built.path, lambda _pc: "")
    measured = at_each_stop(QemuMachine(built, QEMU))[-1]
    assert measured.timeline is not None
    assert_timeline(measured.timeline, watched, measured)


@pytest.mark.parametrize("flags", [("-DCASE=switched()", "-DHEAP_BYTES=40000")])
def test_a_stack_in_a_block_of_the_heap_has_unicorns_figures(tmp_path: Path, flags: tuple[str, ...]) -> None:
    built = firmware(tmp_path, "heap_meets_stack.c", *flags)
    measured = at_each_stop(QemuMachine(built, QEMU))[-1]
    expected = at_each_stop(UnicornMachine(built, TARGET))[-1]
    assert (measured.stack, measured.heap, measured.timeline) == (expected.stack, expected.heap, expected.timeline)
    assert measured.faults == ()


@pytest.mark.parametrize("level", LEVELS)
def test_a_call_that_is_left_unseen_leaves_no_heap(tmp_path: Path, level: str) -> None:
    """A jump out of the allocator by other code than longjmp's: what it took is not known."""
    built = firmware(tmp_path, "heap_left.c", level)
    measured = at_each_stop(QemuMachine(built, QEMU))[-1]
    assert not measured.heap.attached
    assert "did not return" in measured.not_measured["heap_peak_bytes"]
    assert measured.stack_peak_bytes is not None


@pytest.mark.parametrize(
    ("source", "level"),
    [*(("call_paths.c", level) for level in LEVELS), ("exact_calls.S", "-O2"), ("page_crossing.c", "-O2")],
)
def test_lines_and_coverage_are_unicorns(tmp_path: Path, source: str, level: str) -> None:
    built = firmware(tmp_path, source, level)
    expected = at_each_stop(UnicornMachine(built, TARGET, Instruments(profile=True, coverage=True)))[-1]
    measured = at_each_stop(QemuMachine(built, QEMU, Instruments(profile=True, coverage=True)))[-1]
    assert measured.profile is not None
    assert measured.profile == expected.profile
    assert measured.coverage == expected.coverage
