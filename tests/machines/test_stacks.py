"""Stacks that the firmware chooses itself: an array as the first one, and changes to others."""

import subprocess
from pathlib import Path

import oracle
import pytest
from builds import LEVELS, TARGET, build, firmware, line_of

from emu.elf import Symbol
from emu.firmware import Firmware
from emu.instruments import Instruments
from emu.machines import Limits, Measurements, Stop
from emu.machines.unicorn import UnicornMachine
from emu.machines.unicorn.stacks import MOST_STACKS
from emu.record import Run
from emu.run import RunOptions, run_firmware

SOURCE = "stacks.c"
ON_ARRAY = "-DINITIAL_SP=first_stack+2048"
ON_PROCESS_STACK = "-DMAIN=on_process_stack(task_stack+sizeof task_stack,job)"
TOP = 0x2002_0000


def run(program: Firmware) -> tuple[Stop, Measurements]:
    with UnicornMachine(program, TARGET, Instruments(limits=Limits(seconds=20))) as machine:
        return machine.boot(), machine.measure()


def record(program: Firmware) -> Run:
    return run_firmware(program.path, "stacks", TARGET, None, RunOptions(), lambda _done, _of: None)


def variable(program: Firmware, name: str) -> Symbol:
    symbol = program.symbol(name)
    assert symbol is not None
    return symbol


def true_peak(program: Firmware, bottom: int, top: int) -> int:
    """Return the bytes from ``top`` to the lowest SP above ``bottom``, as seen instruction by instruction."""
    pointers = oracle.watch(program.path, lambda _pc: "").stack_pointers
    return top - min(sp for sp in pointers if bottom < sp <= top)


# ---- the first one ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("section", "level"), [*((".noinit", level) for level in LEVELS), (".bss.stacks", "-O2"), (".bss.stacks", "-Os")]
)
def test_an_array_is_the_stack_and_no_static_ram(tmp_path: Path, section: str, level: str) -> None:
    # Clearing the stack that it runs on, startup code has to do without calls.
    flags = (level, f'-DSECTION="{section}"', "-fno-tree-loop-distribute-patterns")
    static = firmware(tmp_path, SOURCE, *flags).static_ram_bytes
    program = firmware(tmp_path, SOURCE, *flags, ON_ARRAY)
    array = variable(program, "first_stack")
    stop, measured = run(program)
    assert stop.reason == "exit", stop
    assert measured.stack_limit_bytes == array.size == 2048
    assert program.static_ram_bytes == static - array.size
    assert measured.stack_peak_bytes == true_peak(program, array.address, array.end)
    assert sum(frame.frame_bytes or 0 for frame in measured.stack.backtrace) == measured.stack_peak_bytes
    assert [stack.name for stack in measured.stack.stacks] == ["first_stack"]
    # What startup code has cleared tells nothing.
    assert (measured.stack_touched_bytes is None) == (section != ".noinit")
    assert ("stack_touched_bytes" in measured.not_measured) == (section != ".noinit")


def test_an_array_that_is_too_small_overflows_where_it_does(tmp_path: Path) -> None:
    program = firmware(tmp_path, SOURCE, ON_ARRAY, "-DRUNS=too_deep(9)")
    stop, measured = run(program)
    assert stop.fault is not None
    assert (stop.fault.kind, stop.fault.line) == ("stack_overflow", line_of(SOURCE, "too_deep"))
    assert stop.fault.address is not None
    assert stop.fault.address < variable(program, "first_stack").address
    assert measured.stack_peak_bytes is not None
    assert measured.stack_peak_bytes > 2048


def test_a_stack_inside_a_variable_has_no_limit_that_anything_tells(tmp_path: Path) -> None:
    whole = firmware(tmp_path, SOURCE)
    program = firmware(tmp_path, SOURCE, "-DINITIAL_SP=first_stack+1024")
    stop, measured = run(program)
    assert stop.reason == "exit", stop
    assert (measured.stack_limit_bytes, measured.stack_touched_bytes) == (None, None)
    assert {"stack_limit_bytes", "stack_touched_bytes"} <= measured.not_measured.keys()
    assert measured.stack_peak_bytes == true_peak(program, 0x2000_0000, program.initial_sp)
    run_record = record(program)
    assert run_record.memory.static_ram_bytes == whole.static_ram_bytes
    assert run_record.memory.ram_peak_bytes == whole.static_ram_bytes, "which counts the stack already"
    assert run_record.ok


# ---- others ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize(
    ("how", "pointer"), [("on_process_stack", "PSP"), ("on_process_stack_at_once", "PSP"), ("on_stack", "MSP")]
)
def test_each_stack_has_its_own_peak(tmp_path: Path, how: str, pointer: str, level: str) -> None:
    program = firmware(tmp_path, SOURCE, level, f"-DMAIN={how}(task_stack+sizeof task_stack,job)")
    array = variable(program, "task_stack")
    stop, measured = run(program)
    assert stop.reason == "exit", stop
    first, second = measured.stack.stacks
    assert (first.name, first.pointer, first.top) == ("main stack (MSP)", "MSP", TOP)
    assert first.peak_bytes == measured.stack_peak_bytes == true_peak(program, array.end + 4096, TOP)
    assert (second.name, second.pointer, second.top, second.limit_bytes) == ("task_stack", pointer, array.end, 4096)
    assert second.peak_bytes == true_peak(program, array.address, array.end)
    assert "job" in [frame.function for frame in second.backtrace]
    if how != "on_process_stack_at_once":  # which jumps to job with main's return address
        assert [frame.function for frame in second.backtrace][-1] == "job"
        assert sum(frame.frame_bytes or 0 for frame in second.backtrace) == second.peak_bytes


def test_a_static_stack_is_counted_once(tmp_path: Path) -> None:
    program = firmware(tmp_path, SOURCE, ON_PROCESS_STACK)
    memory = record(program).memory
    assert memory.stack_peak_bytes is not None
    assert memory.static_ram_bytes is not None
    assert memory.ram_peak_bytes == memory.static_ram_bytes + memory.stack_peak_bytes
    by_region = {use.name: use for use in memory.by_region}
    assert by_region["dtcm"].static_bytes == memory.static_ram_bytes
    assert by_region["dtcm"].stack_bytes == memory.stack_peak_bytes
    assert by_region["flash"].static_bytes == memory.flash_bytes


@pytest.mark.parametrize(("runs", "line"), [("too_deep(9)", "too_deep"), ("grow(5000)", "grow")])
@pytest.mark.parametrize("how", ["on_process_stack", "on_stack"])
def test_each_overflow_is_found(tmp_path: Path, how: str, runs: str, line: str) -> None:
    program = firmware(tmp_path, SOURCE, f"-DMAIN={how}(task_stack+sizeof task_stack,job)", f"-DRUNS={runs}")
    stop, _ = run(program)
    assert stop.fault is not None
    assert (stop.fault.kind, stop.fault.line) == ("stack_overflow", line_of(SOURCE, line))
    assert "task_stack" in stop.fault.detail


@pytest.mark.parametrize("level", LEVELS)
def test_tasks_that_take_turns(tmp_path: Path, level: str) -> None:
    program = firmware(tmp_path, SOURCE, level, "-DRUNS=take_turns()")
    stop, measured = run(program)
    assert stop.reason == "exit", stop
    assert [stack.name for stack in measured.stack.stacks] == ["main stack (MSP)", "task_stack", "other_stack"]
    main, *tasks = measured.stack.stacks
    for stack in tasks:
        array = variable(program, stack.name)
        assert stack.limit_bytes == array.size
        assert stack.peak_bytes == true_peak(program, array.address, array.end)
    assert main.peak_bytes == true_peak(program, variable(program, "other_stack").end + 4096, TOP)


def test_a_stack_in_the_heap_is_counted_there(tmp_path: Path) -> None:
    program = firmware(tmp_path, SOURCE, "-DRUNS=run_from_heap()")
    run_record = record(program)
    assert run_record.ok, run_record.faults
    first, task, _ = run_record.stack.stacks
    assert task.name.startswith("heap block at 0x24")
    assert task.limit_bytes is not None
    assert 1504 - 8 <= task.limit_bytes <= 1504
    assert task.peak_bytes == true_peak(program, task.top - task.limit_bytes, task.top)
    memory = run_record.memory
    assert (memory.heap_peak_bytes, first.peak_bytes) == (1504, memory.stack_peak_bytes)
    assert memory.static_ram_bytes is not None
    taken = run_record.heap.heap_region_bytes
    assert taken is not None
    assert taken >= 1504
    assert memory.ram_peak_bytes == memory.static_ram_bytes + taken + first.peak_bytes
    assert {use.name: use.heap_bytes for use in memory.by_region} == {"flash": 0, "dtcm": 0, "axi": taken}


@pytest.mark.parametrize("strip", [False, True])
@pytest.mark.parametrize("flag", ["-O0", "-O2", "-Os", "-fno-omit-frame-pointer", "-fstack-clash-protection"])
def test_what_is_reckoned_from_the_stack_pointer_is_no_other_stack(tmp_path: Path, flag: str, strip: bool) -> None:
    program = firmware(tmp_path, SOURCE, flag, "-DRUNS=sizes_at_run_time(40)")
    truth = true_peak(program, 0x2000_0000, TOP)
    if strip:
        stripped = tmp_path / "stripped.elf"
        command = ["arm-none-eabi-strip", "-K", "_exit", str(program.path), "-o", str(stripped)]
        subprocess.run(command, check=True)
        program = Firmware.load(stripped, TARGET)
    stop, measured = run(program)
    assert stop.reason == "exit", stop
    assert [(stack.name, stack.peak_bytes) for stack in measured.stack.stacks] == [("main stack (MSP)", truth)]


def test_more_stacks_than_are_followed_make_no_false_sum(tmp_path: Path) -> None:
    run_record = record(firmware(tmp_path, "many_stacks.c"))
    assert run_record.ok, run_record.faults
    assert len(run_record.stack.stacks) == MOST_STACKS
    assert {stack.peak_bytes for stack in run_record.stack.stacks[1:]} == {8}
    assert run_record.memory.ram_peak_bytes is None
    assert {"stacks", "ram_peak_bytes"} <= run_record.not_measured.keys()


def test_a_process_stack_below_the_main_one_ends_it(tmp_path: Path) -> None:
    program = firmware(tmp_path, SOURCE, "-DMAIN=on_process_stack(_estack-4096,job)")
    stop, measured = run(program)
    assert stop.reason == "exit", stop
    main, process = measured.stack.stacks
    assert (process.name, process.pointer, process.top) == ("process stack (PSP)", "PSP", TOP - 4096)
    assert main.limit_bytes == measured.stack_limit_bytes == 4096
    assert process.limit_bytes == TOP - 4096 - max(s.end for s in program.sections if 0x2000_0000 <= s.address < TOP)
    assert main.peak_bytes == true_peak(program, TOP - 4096, TOP)
    assert process.peak_bytes == true_peak(program, 0x2000_0000, TOP - 4096)
    assert measured.stack_touched_bytes is None


def test_a_stack_that_no_symbol_tells_of(tmp_path: Path) -> None:
    elf = build(tmp_path, SOURCE, ON_PROCESS_STACK)
    whole = Firmware.load(elf, TARGET)
    array = variable(whole, "task_stack")
    stripped = tmp_path / "stripped.elf"
    subprocess.run(["arm-none-eabi-strip", "-K", "_exit", str(elf), "-o", str(stripped)], check=True)
    stop, measured = run(Firmware.load(stripped, TARGET))
    assert stop.reason == "exit", stop
    main, process = measured.stack.stacks
    assert main.peak_bytes == true_peak(whole, array.end + 4096, TOP)
    assert process.peak_bytes == true_peak(whole, array.address, array.end)
    assert process.limit_bytes is None
    assert f"limit of {process.name}" in measured.not_measured


def test_a_stack_pointer_that_is_no_stack_ends_in_the_access_that_fails(tmp_path: Path) -> None:
    program = firmware(tmp_path, SOURCE, "-DMAIN=on_stack((char*)0x10000000,job)")
    stop, measured = run(program)
    assert stop.fault is not None
    assert stop.fault.kind == "unmapped_write"
    assert [stack.name for stack in measured.stack.stacks] == ["main stack (MSP)"]
