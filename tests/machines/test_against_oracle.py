"""Stack and instructions against a watch on every single instruction, to the byte and to the instruction."""

import subprocess
from pathlib import Path

import oracle
import pytest
from builds import LEVELS, TARGET, build

from emu.firmware import Firmware
from emu.machines import Measurements
from emu.machines.unicorn import UnicornMachine
from emu.probes.instructions import UNNAMED

SHAPES = {
    "recursion": "recursion(12)",
    "variable_array": "variable_array(700)",
    "allocas": "allocas(300)",
    "varargs": "sink += (int)sum(6, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0)",
    "saved_doubles_and_alloca": "sink += (int)doubles(1.5, 2.5, 5)",
    "push_behind_dynamic": "sink += push_behind_dynamic(1600)",
    "conditional_push_taken": "sink += conditional_pushes(0)",
    "conditional_push_skipped": "sink += conditional_pushes(1)",
    "code_in_ram": "sink += from_itcm(1000)",
    "assembly_without_unwind_information": "sink += no_unwind_information(calls_deep, 90)",
    "frame_that_is_never_written": "never_written()",
}
NO_UNWIND_INFORMATION = {"push_behind_dynamic", "conditional_pushes"}
"""Assembly that says nothing of its frame and changes SP by what a register holds: its callers cannot be known."""

PROGRAMS = [("stack_shapes.c", level, f"-DSHAPE={call}") for call in SHAPES.values() for level in LEVELS]
PROGRAMS += [("newlib_mix.c", level, "") for level in LEVELS]
PROGRAMS += [("exact.S", "-O2", ""), ("heap_values.c", "-O2", ""), ("heap_values.c", "-O0", "")]
PROGRAMS += [("page_crossing.c", "-O2", "")]


def measure(firmware: Firmware) -> tuple[list[int], Measurements]:
    """Return the instructions of each leg, and everything that was measured."""
    with UnicornMachine(firmware, TARGET) as machine:
        stops = [machine.boot()]
        while stops[-1].reason == "yield":
            stops.append(machine.resume())
        assert stops[-1].reason == "exit", stops[-1]
        return [stop.instructions or 0 for stop in stops], machine.measure()


def name_at(firmware: Firmware, pc: int) -> str:
    function = firmware.function_at(pc)
    return function.name if function else UNNAMED


@pytest.mark.parametrize(("source", "level", "definition"), PROGRAMS)
def test_counts_and_peak_are_exact(tmp_path: Path, source: str, level: str, definition: str) -> None:
    firmware = Firmware.load(build(tmp_path, source, level, *filter(None, [definition])), TARGET)
    truth = oracle.watch(firmware.path, lambda pc: name_at(firmware, pc))
    legs, measured = measure(firmware)
    assert legs == truth.legs
    assert measured.instructions.total == truth.total
    assert measured.instructions.by_function == dict(truth.by_function)
    assert measured.stack_peak_bytes == truth.stack_bytes
    frames = [(frame.function, frame.frame_bytes) for frame in measured.stack.backtrace]
    if frames[0][0] in NO_UNWIND_INFORMATION:
        assert frames == [(frames[0][0], None)]
    else:
        assert sum(size or 0 for _, size in frames) == truth.stack_bytes
        assert frames[-1][0] == "reset_handler"


@pytest.mark.parametrize("shape", SHAPES)
def test_code_without_symbols_is_watched_just_as_well(tmp_path: Path, shape: str) -> None:
    elf = build(tmp_path, "stack_shapes.c", "-O2", f"-DSHAPE={SHAPES[shape]}")
    whole = Firmware.load(elf, TARGET)
    truth = oracle.watch(elf, lambda pc: name_at(whole, pc))
    stripped = tmp_path / "stripped.elf"
    keep = ["-K", "emu_yield", "-K", "_exit"]
    subprocess.run(["arm-none-eabi-strip", *keep, str(elf), "-o", str(stripped)], check=True)
    legs, measured = measure(Firmware.load(stripped, TARGET))
    assert legs == truth.legs
    assert measured.stack_peak_bytes == truth.stack_bytes


def test_ten_runs_give_the_same_figures(tmp_path: Path) -> None:
    firmware = Firmware.load(build(tmp_path, "newlib_mix.c", "-O2"), TARGET)
    first = measure(firmware)
    assert all(measure(firmware) == first for _ in range(9))
