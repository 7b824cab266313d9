"""Wrong frees, and a heap that meets the stack: each found at its place, and nothing where all is well."""

from pathlib import Path

import pytest
from builds import LEVELS, TARGET, firmware, line_of

from emu.machines import Measurements
from emu.machines.unicorn import UnicornMachine
from emu.record import Fault

SOURCE, COLLISION = "heap_faults.c", "heap_meets_stack.c"


def run(directory: Path, source: str, *flags: str) -> Measurements:
    with UnicornMachine(firmware(directory, source, *flags), TARGET) as machine:
        stop = machine.boot()
        while stop.reason == "yield":
            stop = machine.resume()
        assert stop.reason == "exit", stop
        return machine.measure()


def only_fault(directory: Path, source: str, *flags: str) -> Fault:
    faults = run(directory, source, *flags).faults
    assert len(faults) == 1, faults
    return faults[0]


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize(
    ("name", "kind", "words"),
    [
        ("inside", "invalid_free", "8 bytes into a block of 100 bytes, allocated by inside"),
        ("of_variable", "invalid_free", "4 bytes into the variable `variable`: no block of the heap"),
        ("of_stack", "invalid_free", "on the stack: no block of the heap"),
        ("of_constant", "invalid_free", "0x08000100: in flash"),
        ("resized", "invalid_free", "realloc of"),
    ],
)
def test_free_of_what_is_no_block(tmp_path: Path, level: str, name: str, kind: str, words: str) -> None:
    fault = only_fault(tmp_path, SOURCE, level, f"-DFAULT={name}()")
    assert (fault.kind, fault.function, fault.line) == (kind, name, line_of(SOURCE, name))
    assert words in fault.detail
    assert [frame.function for frame in fault.backtrace] == [name, "main", "reset_handler"]


@pytest.mark.parametrize("level", LEVELS)
def test_a_second_free_names_the_first_once(tmp_path: Path, level: str) -> None:
    fault = only_fault(tmp_path, SOURCE, level, "-DFAULT=twice()")
    assert (fault.kind, fault.function, fault.line) == ("double_free", "twice", line_of(SOURCE, "twice"))
    assert "a block of 100 bytes" in fault.detail
    for mark in ("allocated", "freed"):
        assert f"{mark} by twice" in fault.detail
        assert f"{SOURCE}:{line_of(SOURCE, mark)})" in fault.detail


@pytest.mark.parametrize("level", LEVELS)
def test_null_may_be_freed(tmp_path: Path, level: str) -> None:
    assert run(tmp_path, SOURCE, level, "-DFAULT=nothing()").faults == ()


@pytest.mark.parametrize("level", LEVELS)
def test_heap_that_grows_into_the_stack(tmp_path: Path, level: str) -> None:
    fault = only_fault(tmp_path, COLLISION, level, "-DCASE=heap_comes()", "-DHEAP_BYTES=126000")
    assert fault.kind == "heap_meets_stack"
    assert "heap_comes" in [frame.function for frame in fault.backtrace]
    assert "the heap grows beyond SP" in fault.detail


@pytest.mark.parametrize("level", LEVELS)
def test_stack_that_comes_down_into_the_heap(tmp_path: Path, level: str) -> None:
    flags = ["-DCASE=(block=malloc(HEAP_BYTES),sum+=stack_comes(40))", "-DHEAP_BYTES=100000"]
    fault = only_fault(tmp_path, COLLISION, level, *flags)
    assert (fault.kind, fault.function) == ("heap_meets_stack", "stack_comes")
    assert fault.address is not None
    assert "below the heap's end" in fault.detail
    assert fault.backtrace[-1].function == "reset_handler"
    assert sum(frame.frame_bytes or 0 for frame in fault.backtrace) == 0x2002_0000 - fault.address


@pytest.mark.parametrize("call", ["heap_comes()", "(block=malloc(100000),sum+=stack_comes(40))"])
def test_an_allocator_without_a_break_meets_the_stack_as_well(tmp_path: Path, call: str) -> None:
    flags = [f"-DCASE={call}", "-DHEAP_BYTES=131064", "-DWITHOUT_BREAK", "-Wl,--gc-sections"]
    fault = only_fault(tmp_path, COLLISION, *flags, "-ffunction-sections")
    assert fault.kind == "heap_meets_stack"


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("case", ["in_turns()", "switched()", "stack_comes(20)"])
def test_no_collision(tmp_path: Path, level: str, case: str) -> None:
    assert run(tmp_path, COLLISION, level, f"-DCASE={case}", "-DHEAP_BYTES=40000").faults == ()


def test_heap_in_another_memory_meets_no_stack(tmp_path: Path) -> None:
    assert run(tmp_path, "heap_random.c", "-DSTEPS=3000").faults == ()
