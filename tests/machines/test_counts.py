"""Counts that have to agree with each other: on code known by construction, and with a fault planted in one of them."""

import dataclasses
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import xtensa_builds
from builds import firmware

from emu.firmware import Firmware
from emu.instruments import Instruments
from emu.machines import Measurements
from emu.machines.counts import Counters, Counts, measure_counts
from emu.machines.qemu import QemuMachine
from emu.machines.unicorn import UnicornMachine
from emu.probes.instructions import UNNAMED, executions_by_address
from emu.targets import find_target

COMMANDS = {"stm32h7-qemu": "qemu-system-arm", "esp32s3-qemu": "qemu-system-xtensa"}
CORTEX_M = ("stm32h7-unicorn", "stm32h7-qemu")


def built(directory: Path, target: str, source: str) -> Firmware:
    if target == "esp32s3-qemu":
        return Firmware.load(xtensa_builds.build(directory, source), xtensa_builds.TARGET)
    return firmware(directory, source)


def measured(program: Firmware, target: str, *, traffic: bool = False) -> Measurements:
    """Return the figures of a run to the program's end, with profile and coverage."""
    command = COMMANDS.get(target)
    if command is not None and shutil.which(command) is None:
        pytest.skip(f"{command} is not installed")
    machine_type = UnicornMachine if command is None else QemuMachine
    instruments = Instruments(traffic=traffic, profile=True, coverage=True)
    with machine_type(program, find_target(target), instruments) as machine:
        stop = machine.boot()
        while stop.reason == "yield":
            stop = machine.resume()
        assert (stop.reason, stop.exit_status) == ("exit", 0)
        return machine.measure()


# ---- code that goes through the end of a page ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("target", "functions"),
    [
        *(
            (target, {"goes_through": 5, "runs_on": 3, "follows": 2, "wide_before": 3, "wide_across": 4})
            for target in CORTEX_M
        ),
        ("esp32s3-qemu", {"goes_through": 5, "crosses": 4}),
    ],
)
def test_code_through_the_end_of_a_page_is_counted_to_the_instruction(
    tmp_path: Path, target: str, functions: dict[str, int]
) -> None:
    program = built(tmp_path, target, "page_end.S")
    found = measured(program, target)
    by_function, profile, coverage = found.instructions.by_function, found.profile, found.coverage
    assert {name: by_function[name] for name in functions} == {name: 100 * n for name, n in functions.items()}
    assert sum(by_function.values()) == found.instructions.total
    assert profile is not None
    assert coverage is not None
    file = next(file for file in profile.by_line if file.endswith("page_end.S"))
    hundreds = [line for line, count in profile.by_line[file].items() if count == 100]
    assert len(hundreds) == sum(functions.values()) + by_function["main"] // 100
    assert {coverage.lines[file][line] for line in hundreds} == {100}


# ---- loads and stores ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("target", "flags"), [(target, flags) for target in CORTEX_M for flags in ((), ("-DFAILING",))]
)
def test_an_exclusive_store_is_no_load_and_is_a_store_if_it_stores(
    tmp_path: Path, target: str, flags: tuple[str, ...]
) -> None:
    found = measured(firmware(tmp_path, "exclusive.S", *flags), target, traffic=True).instructions
    assert found.loads_by_region is not None
    assert found.stores_by_region is not None
    assert (found.loads_by_region["axi"], found.stores_by_region["axi"]) == (30, 30)


def test_a_compare_and_swap_is_a_load_and_is_a_store_if_it_stores(tmp_path: Path) -> None:
    found = measured(built(tmp_path, "esp32s3-qemu", "compare_and_swap.S"), "esp32s3-qemu", traffic=True).instructions
    assert found.loads_by_region is not None
    assert found.stores_by_region is not None
    of_startup = 1  # it clears `word`
    assert (found.loads_by_region["dram"], found.stores_by_region["dram"]) == (40, 20 + of_startup)


# ---- code that is overwritten after it has run -----------------------------------------------------------------------


@pytest.mark.parametrize("target", CORTEX_M)
def test_overwritten_code_has_no_lines_rather_than_wrong_ones(tmp_path: Path, target: str) -> None:
    found = measured(built(tmp_path, target, "overwritten.c"), target)
    assert (found.profile, found.coverage) == (None, None)
    reason = "the code at 0x00000400 was overwritten after it had run"
    assert (found.not_measured["profile"], found.not_measured["coverage"]) == (reason, reason)
    assert found.instructions.by_function["from_ram"] == 2, "the function is known by its address"
    assert sum(found.instructions.by_function.values()) == found.instructions.total


# ---- counts that contradict each other -------------------------------------------------------------------------------


@pytest.fixture
def program(tmp_path: Path) -> Firmware:
    return firmware(tmp_path, "page_end.S")


def counters(program: Firmware) -> Counters:
    """Return the true counts of 100 calls of ``runs_on``, which goes on into ``follows``: 5 instructions, 10 bytes."""
    start = program.entry_of("runs_on")
    assert start is not None
    index = next(index for index, function in enumerate(program.functions, 1) if function.name == "runs_on")
    paths = [(0, 0, 0), (0, index, 500)]
    return Counters(500, [(start, 10, 5, 100)], [], [], paths, call_paths_cut=False, peek=program.bytes_at)


def counts(program: Firmware, counters: Counters) -> Counts:
    return measure_counts(program, counters, Instruments(profile=True, coverage=True))


def lost(found: Counts) -> set[str]:
    """Return what is not measured because counts contradict each other."""
    told = {str(failure) for failure in found.failures}
    return {name for name, reason in found.not_measured.items() if reason in told}


def test_counts_that_agree_are_taken(program: Firmware) -> None:
    found = counts(program, counters(program))
    assert found.failures == ()
    assert found.instructions.by_function == {"runs_on": 300, "follows": 200}
    assert found.profile is not None
    assert [(path.function, path.self_instructions) for path in found.profile.call_paths] == [("runs_on", 500)]


def test_a_block_that_is_too_large_is_an_error(program: Firmware) -> None:
    true = counters(program)
    address, size, instructions, executions = true.blocks[0]
    wrong = dataclasses.replace(true, blocks=[(address, size + 2, instructions, executions)])
    found = counts(program, wrong)
    assert {str(failure) for failure in found.failures} == {
        f"5 instructions ran in the 12 bytes of code at {address:#010x}, but 6 are there"
    }
    assert lost(found) == {"by_function", "coverage", "instructions", "profile"}
    assert (found.instructions.total, found.profile, found.coverage) == (None, None, None)


def test_a_total_that_the_functions_do_not_add_up_to_is_an_error(program: Firmware) -> None:
    found = counts(program, dataclasses.replace(counters(program), total=501))
    assert str(found.failures[0]) == "501 instructions ran, but those by function add up to 500"
    assert lost(found) == {"by_function", "instructions", "profile"}
    assert found.instructions.total is None
    assert not found.instructions.by_function


def test_call_paths_that_do_not_add_up_to_the_total_are_an_error(program: Firmware) -> None:
    true = counters(program)
    (root, (caller, function, own)) = true.call_paths
    found = counts(program, dataclasses.replace(true, call_paths=[root, (caller, function, own - 1)]))
    assert [*map(str, found.failures)] == ["500 instructions ran, but those by call path add up to 499"]
    assert lost(found) == {"profile"}
    assert found.instructions.total == 500
    assert found.coverage is not None


def test_lines_that_do_not_add_up_to_the_total_are_an_error(program: Firmware, monkeypatch: pytest.MonkeyPatch) -> None:
    def one_is_lost(*arguments: Any) -> Counter[int]:
        executions = executions_by_address(*arguments)
        return executions - Counter([max(executions)])

    monkeypatch.setattr("emu.machines.counts.executions_by_address", one_is_lost)
    found = counts(program, counters(program))
    assert [*map(str, found.failures)] == ["500 instructions ran, but those by line add up to 499"]
    assert lost(found) == {"profile"}


def test_instructions_that_no_path_has_room_for_are_in_one_without_a_name(program: Firmware) -> None:
    true = counters(program)
    (_, (caller, function, own)) = true.call_paths
    paths = [(0, 0, 200), (caller, function, own - 200)]
    found = counts(program, dataclasses.replace(true, call_paths=paths, call_paths_cut=True)).profile
    assert found is not None
    assert found.cut
    assert [(path.function, path.self_instructions) for path in found.call_paths] == [(UNNAMED, 200), ("runs_on", 300)]
