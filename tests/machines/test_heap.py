"""The heap probe against figures that the program fixes."""

import subprocess
from pathlib import Path

import pytest
from builds import LEVELS, TARGET, build, firmware

from emu.firmware import Firmware
from emu.machines import Limits
from emu.machines.unicorn import UnicornMachine
from emu.record import Heap


def figures(heap: Heap) -> tuple[int | None, ...]:
    return (
        heap.peak_live_bytes,
        heap.live_at_exit_bytes,
        heap.allocations,
        heap.frees,
        heap.failed_allocations,
    )


@pytest.mark.parametrize("level", LEVELS)
def test_every_call_is_followed(tmp_path: Path, level: str) -> None:
    with UnicornMachine(firmware(tmp_path, "heap_values.c", level), TARGET) as machine:
        seen = []
        stop = machine.boot()
        while stop.reason == "yield":
            seen.append(figures(machine.measure().heap))
            stop = machine.resume()
        assert stop.reason == "exit"
        last = machine.measure().heap
    # peak, live, allocations, frees, failed
    assert seen == [
        (400, 400, 2, 0, 0),  # malloc(100), calloc(10, 30), which calls malloc within
        (1300, 1300, 3, 1, 0),  # realloc(100 -> 1000) takes a new block and gives the old one back
        (1300, 1000, 3, 2, 1),  # free(300); 64 MB are refused; free(NULL) is nothing
        (1300, 1050, 1004, 1002, 1),  # 1000 times 24 bytes, and back; memalign(64, 50)
    ]
    assert figures(last) == (1300, 50, 1004, 1003, 1)
    assert [(leak.function, leak.bytes, leak.allocations) for leak in last.leaks] == [("main", 50, 1)]
    source = (Path(__file__).parents[1] / "firmware" / "heap_values.c").read_text().splitlines()
    assert "memalign" in source[(last.leaks[0].line or 0) - 1]


def test_firmware_without_an_allocator_has_an_empty_heap(tmp_path: Path) -> None:
    with UnicornMachine(firmware(tmp_path, "exact.S"), TARGET) as machine:
        machine.boot()
        heap = machine.measure().heap
    assert heap.attached
    assert figures(heap) == (0, 0, 0, 0, 0)


def test_without_symbols_nothing_is_claimed(tmp_path: Path) -> None:
    elf = build(tmp_path, "exact.S")
    subprocess.run(["arm-none-eabi-strip", str(elf)], check=True)
    with UnicornMachine(Firmware.load(elf, TARGET), TARGET, limits=Limits(instructions=100_000)) as machine:
        stop = machine.boot()  # nothing tells where it ends
        measured = machine.measure()
    assert stop.fault is not None
    assert stop.fault.kind == "instruction_budget"
    assert not measured.heap.attached
    assert measured.heap.peak_live_bytes is None
    assert {"heap_peak_bytes", "by_function", "stack_touched_bytes"} <= measured.not_measured.keys()
    assert measured.stack_peak_bytes is not None
    assert measured.stack_touched_bytes is None


def test_an_allocation_between_two_pauses_is_not_lost(tmp_path: Path) -> None:
    """More calls than the native list holds, in one run."""
    with UnicornMachine(firmware(tmp_path, "heap_storm.c"), TARGET) as machine:
        stop = machine.boot()
        heap = machine.measure().heap
    assert stop.reason == "exit"
    assert figures(heap) == (16, 0, 60_000, 60_000, 0)
