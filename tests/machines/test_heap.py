"""The heap probe against figures that the program fixes."""

import shutil
import subprocess
from pathlib import Path

import pytest
from builds import LEVELS, TARGET, build, firmware

from emu.architectures.cores import core_of
from emu.firmware import Firmware
from emu.instruments import Instruments
from emu.machines import Limits
from emu.machines.unicorn import UnicornMachine
from emu.native import HEAP_FREE, HEAP_MALLOC
from emu.probes.heap import HeapLedger
from emu.record import Heap
from emu.run import RunOptions, open_machine, run_firmware
from emu.targets import Target, find_target

needs_qemu = pytest.mark.skipif(shutil.which("qemu-system-arm") is None, reason="qemu-system-arm is not installed")


def nothing(_done: int, _of: int) -> None:
    """A progress that nobody watches."""


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
    with UnicornMachine(
        Firmware.load(elf, TARGET), TARGET, Instruments(limits=Limits(instructions=100_000))
    ) as machine:
        stop = machine.boot()  # nothing tells that its last loop is its end
        measured = machine.measure()
    assert stop.fault is not None
    assert stop.fault.kind == "wait_for_interrupt"
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


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("flags", [(), ("-DWITH_MALLOC",)])
def test_freertos_heap_in_an_array(tmp_path: Path, level: str, flags: tuple[str, ...]) -> None:
    with UnicornMachine(firmware(tmp_path, "heap_4.c", level, *flags), TARGET) as machine:
        machine.boot()
        seen = [figures(machine.measure().heap)]
        for _ in range(3):
            machine.resume()
            seen.append(figures(machine.measure().heap))
        measured = machine.measure()
    heap = measured.heap
    extra = 1 if flags else 0
    assert seen == [
        (300, 300, 2, 0, 0),
        (300, 200, 2, 1, 1),
        (300, 240, 3, 1, 1),  # the call that longjmp left counts for nothing
        (300, 0, 3 + extra, 3 + extra, 1),
    ]
    assert sorted((group.bytes, group.allocations, group.function) for group in heap.peak) == [
        (100, 1, "main"),
        (200, 1, "main"),
    ]
    assert [(failed.largest_bytes, failed.failures, failed.function) for failed in heap.failed] == [(50000, 1, "main")]
    assert heap.peak_beside_static_bytes == (77 if flags else 0)
    assert heap.heap_region_bytes is None
    assert "`ucHeap`" in measured.not_measured["heap_region_bytes"]
    assert not measured.faults


@pytest.mark.parametrize("level", LEVELS)
def test_esp_names_have_their_own_arguments(tmp_path: Path, level: str) -> None:
    with UnicornMachine(firmware(tmp_path, "heap_caps.c", level), TARGET) as machine:
        machine.boot()
        first = figures(machine.measure().heap)
        machine.resume()
        last = machine.measure()
    live = 100 + 10 * 30 + 7 + 50 + 6 * 9
    assert first == (live, live, 5, 0, 0)
    assert figures(last.heap) == (live - 7 + 1000, 0, 6, 6, 0)
    assert not last.faults


@pytest.mark.parametrize("name", ["tlsf_malloc", "umm_malloc", "mem_malloc", "k_malloc", "kmalloc", "osMalloc"])
def test_an_unknown_allocator_is_named(tmp_path: Path, name: str) -> None:
    run = run_firmware(build(tmp_path, "other_allocator.c", f"-DNAME={name}"), "", TARGET, None, RunOptions(), nothing)
    assert not run.heap.attached
    assert run.memory.heap_peak_bytes is None
    assert run.memory.ram_peak_bytes is None
    assert name in run.not_measured["heap_peak_bytes"]


@pytest.mark.parametrize("name", ["pvPortMalloc.constprop.0", "vPortFree"])
def test_an_allocator_that_the_compiler_took_apart_is_not_followed(tmp_path: Path, name: str) -> None:
    elf = build(tmp_path, "other_allocator.c", "-DNAME=renamed")
    subprocess.run(["arm-none-eabi-objcopy", "--redefine-sym", f"renamed={name}", str(elf)], check=True)
    run = run_firmware(elf, "", TARGET, None, RunOptions(), nothing)
    assert run.memory.heap_peak_bytes is None
    assert name in run.not_measured["heap_peak_bytes"]


def test_a_heap_in_a_static_array_is_counted_once(tmp_path: Path) -> None:
    elf = build(tmp_path, "heap_section.c")
    run = run_firmware(elf, "", TARGET, None, RunOptions(), nothing)
    memory = run.memory
    data = sum(section.size for section in Firmware.load(elf, TARGET).sections if section.name in (".data", ".bss"))
    assert memory.static_ram_bytes == data + 4000
    assert memory.heap_peak_bytes == 500
    assert run.heap.peak_beside_static_bytes == 0
    assert memory.ram_peak_bytes == data + 4000 + (memory.stack_peak_bytes or 0)
    assert "`storage`" in run.not_measured["heap_region_bytes"]


def test_every_byte_of_a_linked_heap_counts_where_it_is_no_variable(tmp_path: Path) -> None:
    run = run_firmware(build(tmp_path, "heap_values.c"), "", TARGET, None, RunOptions(), nothing)
    memory = run.memory
    assert memory.static_ram_bytes is not None
    assert memory.heap_peak_bytes == 400
    assert run.heap.heap_region_bytes is not None
    assert (
        memory.ram_peak_bytes == memory.static_ram_bytes + (memory.stack_peak_bytes or 0) + run.heap.heap_region_bytes
    )


@pytest.mark.parametrize("target", [TARGET, pytest.param(find_target("stm32h7-qemu"), marks=needs_qemu)])
@pytest.mark.parametrize("flags", [(), ("-DIN_VARIABLE",)])
def test_ram_counts_all_that_the_allocator_took_once(tmp_path: Path, flags: tuple[str, ...], target: Target) -> None:
    elf = build(tmp_path, "small_blocks.c", *flags)
    program = Firmware.load(elf, target)
    counter = program.symbol("taken")
    assert counter is not None
    with open_machine(program, target, RunOptions()) as machine:
        assert machine.boot().exit_status == 0
        taken = int.from_bytes(machine.read(counter.address, 4), "little")
    run = run_firmware(elf, "", target, None, RunOptions(), nothing)
    memory, heap = run.memory, run.heap
    assert (memory.heap_peak_bytes, heap.heap_region_bytes) == (1000, taken)
    assert taken >= 12 * 1000
    assert memory.static_ram_bytes is not None
    assert memory.stack_peak_bytes is not None
    counted = 0 if flags else taken
    assert heap.taken_beside_static_bytes == counted
    assert memory.ram_peak_bytes == memory.static_ram_bytes + memory.stack_peak_bytes + counted
    ram = {region.name for region in target.board.ram}
    uses = [use for use in memory.by_region if use.name in ram]
    assert (
        sum(use.static_bytes + (use.stack_bytes or 0) + (use.heap_bytes or 0) for use in uses) == memory.ram_peak_bytes
    )


@pytest.mark.parametrize("level", LEVELS)
def test_of_allocators_that_call_each_other_the_outermost_counts(tmp_path: Path, level: str) -> None:
    with UnicornMachine(firmware(tmp_path, "heap_3.c", level), TARGET) as machine:
        machine.boot()
        first = machine.measure().heap
        machine.resume()
        last = machine.measure()
    assert figures(first) == (353, 303, 4, 1, 0)
    assert {frame.function for group in first.leaks for frame in group.backtrace} == {"main", "reset_handler"}
    assert figures(last.heap) == (353, 0, 4, 4, 0)
    assert not last.faults


@pytest.mark.parametrize("large", [100, 20_000, 60_000])
def test_thousands_of_call_paths(tmp_path: Path, large: int) -> None:
    """The program unwinds 500 of 2000 paths; the bytes and blocks of the other paths are not lost."""
    program = firmware(tmp_path, "heap_paths.c", "-DPATHS=2000", f"-DLARGE={large}")
    with UnicornMachine(program, TARGET) as machine:
        machine.boot()
        heap = machine.measure().heap
        machine.resume()
        after = machine.measure().heap
    sizes = sorted((path % 40 + 1 for path in range(2000)), reverse=True)
    assert heap.peak_live_bytes == sum(sizes)
    assert sum(group.bytes for group in heap.peak) == sum(sizes)
    assert sum(group.allocations for group in heap.peak) == 2000
    assert sorted((group.bytes for group in heap.peak), reverse=True) == [sum(sizes[500:]), *sizes[:500]]
    whole = [group.backtrace for group in heap.peak[1:]]
    assert len({tuple(frame.pc for frame in backtrace) for backtrace in whole}) == 500
    assert {frame.function for backtrace in whole for frame in backtrace} >= {"store", "zero", "one", "main"}
    assert after.leaks == []
    assert after.peak == heap.peak


def test_the_ledger_knows_whose_block_an_address_is_in(tmp_path: Path) -> None:
    program = firmware(tmp_path, "heap_values.c")
    ledger = HeapLedger(program, core_of(program))

    def call(function: int, size: int = 0, pointer: int = 0, result: int = 0, site: int = 0x0800_0101) -> None:
        ledger.add([(function, size, pointer, result, site, 0x2001_FF00, 0, 0)], [])

    call(HEAP_MALLOC, 100, result=0x2400_0008)
    call(HEAP_MALLOC, 50, result=0x2400_0100, site=0x0800_0201)
    call(HEAP_FREE, pointer=0x2400_0008, site=0x0800_0301)
    freed, live = ledger.block_near(0x2400_0010), ledger.block_near(0x2400_0100 + 49)
    assert freed is not None
    assert live is not None
    assert (freed.address, freed.size, freed.allocated.address) == (0x2400_0008, 100, 0x0800_0101)
    assert freed.freed is not None
    assert freed.freed.address == 0x0800_0301
    assert (live.address, live.size, live.freed) == (0x2400_0100, 50, None)
    assert ledger.block_near(0x2400_0100 + 50) is None
    assert ledger.block_near(0x2400_0100 + 52, 3) == live
    call(HEAP_MALLOC, 200, result=0x2400_0000)
    reused = ledger.block_near(0x2400_0010)
    assert reused is not None
    assert (reused.size, reused.freed) == (200, None)
