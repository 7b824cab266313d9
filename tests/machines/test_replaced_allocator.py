"""An allocator whose blocks are moved apart does what it does by itself."""

from pathlib import Path

import pytest

from emu.instruments import Instruments
from emu.machines.unicorn import UnicornMachine
from emu.record import MemoryCheck
from tests.machines.builds import LEVELS, TARGET, firmware, line_of

SOURCE = "allocations.c"


def check(directory: Path, *flags: str, replace: bool) -> MemoryCheck:
    program = firmware(directory, SOURCE, *flags)
    with UnicornMachine(program, TARGET, Instruments(memcheck=True, replace_allocator=replace)) as machine:
        stop = machine.boot()
        measured = machine.measure()
    assert (stop.reason, stop.exit_status) == ("exit", 0), (stop.exit_status, measured.faults)
    assert measured.memory_check is not None
    assert measured.memory_check.allocator == ("replaced" if replace else "faithful")
    return measured.memory_check


@pytest.mark.parametrize("replace", [False, True])
@pytest.mark.parametrize("level", LEVELS)
def test_program_runs_as_with_its_own(tmp_path: Path, level: str, replace: bool) -> None:
    assert check(tmp_path, level, replace=replace).findings == []


def test_figures_of_the_heap_are_those_with_the_own(tmp_path: Path) -> None:
    program = firmware(tmp_path, SOURCE)
    heaps = []
    for replace in (False, True):
        with UnicornMachine(program, TARGET, Instruments(memcheck=True, replace_allocator=replace)) as machine:
            machine.boot()
            heap = machine.measure().heap
            heaps.append((heap.peak_live_bytes, heap.allocations, heap.frees, heap.failed_allocations, heap.leaks))
    assert heaps[0] == heaps[1]


@pytest.mark.parametrize("offset", [-8, 24, 100])
def test_an_access_far_from_its_block_is_found(tmp_path: Path, offset: int) -> None:
    (found,) = check(tmp_path, f"-DFAR=({offset})", replace=True).findings
    assert (found.kind, found.line) == ("heap_out_of_bounds_write", line_of(SOURCE, "FAR"))


def test_an_access_to_another_block_is_none_too_many(tmp_path: Path) -> None:
    assert check(tmp_path, "-DFAR=(second - first)", replace=False).findings == []


def test_a_product_that_calloc_does_not_see_to_be_too_large_is_what_it_gives(tmp_path: Path) -> None:
    program = firmware(tmp_path, SOURCE, "-DWRAPPED")
    peaks = []
    for replace in (False, True):
        with UnicornMachine(program, TARGET, Instruments(memcheck=True, replace_allocator=replace)) as machine:
            machine.boot()
            peaks.append(machine.measure().heap.peak_live_bytes)
    own, replaced = peaks
    assert own is not None
    assert 0x10000 <= own < 0x20000
    assert replaced is not None
    assert replaced < 0x10000  # this one does see it


def test_freed_memory_is_not_handed_out_again(tmp_path: Path) -> None:
    (found,) = check(tmp_path, "-DSTALE", replace=True).findings
    assert (found.kind, found.line) == ("use_after_free_read", line_of(SOURCE, "STALE"))
    assert check(tmp_path, "-DSTALE", replace=False).findings == []


def test_freed_memory_is_handed_out_again_before_there_is_none(tmp_path: Path) -> None:
    assert check(tmp_path, "-DMANY=1000", replace=True).findings == []  # 100 MB of 16


@pytest.mark.parametrize("replace", [False, True])
def test_what_was_never_set_stays_so_when_a_block_moves(tmp_path: Path, replace: bool) -> None:
    assert check(tmp_path, "-DPARTLY=0", replace=replace).findings == []
    (found,) = check(tmp_path, "-DPARTLY=5", replace=replace).findings
    assert (found.kind, found.line) == ("uninitialised_branch", line_of(SOURCE, "PARTLY"))


@pytest.mark.parametrize("replace", [False, True])
def test_it_refuses_what_the_own_heap_could_not_hold(tmp_path: Path, replace: bool) -> None:
    program = firmware(tmp_path, "full_heap.c", "--specs=nano.specs")
    with UnicornMachine(program, TARGET, Instruments(memcheck=True, replace_allocator=replace)) as machine:
        stop = machine.boot()
        heap = machine.measure().heap
    assert (stop.reason, stop.exit_status) == ("exit", 0)
    assert [(failed.largest_bytes, failed.failures) for failed in heap.failed] == [(5000, 1), (1000, 1)]
    assert all(failed.sbrk_refused for failed in heap.failed)
    assert heap.heap_region_bytes == 20 * 1008


@pytest.mark.parametrize(("source", "flags"), [(SOURCE, ()), ("heap_4.c", ()), ("small_blocks.c", ("-DIN_VARIABLE",))])
def test_every_figure_but_what_is_checked_is_that_with_the_own(
    tmp_path: Path, source: str, flags: tuple[str, ...]
) -> None:
    program = firmware(tmp_path, source, *flags)
    figures = []
    for replace in (False, True):
        with UnicornMachine(program, TARGET, Instruments(memcheck=True, replace_allocator=replace)) as machine:
            stops = [machine.boot()]
            while stops[-1].reason == "yield":
                stops.append(machine.resume())
            measured = machine.measure()
        figures.append((stops, measured.instructions, measured.stack_peak_bytes, measured.heap, measured.heap_region))
    assert figures[0] == figures[1]
