"""The stack's peak in a second run and counted heaps, in front of a program that speaks Renode's protocol.

These are no tests of Renode, which need Renode (test_renode.py): the arithmetic is ours, and the figures are compared
with those of the emulators that follow SP and the allocator themselves.
"""

import os
import re
import struct
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import numpy as np
import pytest
import stand_in
from builds import LEVELS, TARGET, build

from emu.cli import main
from emu.firmware import Firmware
from emu.inputs import EvaluationInputs
from emu.instruments import Instruments
from emu.machines import Limits, Measurements
from emu.machines.renode import RenodeMachine
from emu.machines.renode.heap import measure_heap
from emu.machines.unicorn import UnicornMachine
from emu.record import Instructions, Run, read_run_file
from emu.resources import resource
from emu.run import RunOptions, run_firmware
from emu.run.second_run import add_stack
from emu.targets import find_target

RENODE = find_target("stm32h7-renode")
LIMITS = Limits(instructions=2_000_000, seconds=60)
WITH_FPU = ("-Wl,--wrap=main", str(Path(__file__).parents[1] / "firmware" / "fpu.c"))
COUNTED = ("-DCOUNTED", "-Wl,--wrap=malloc,--wrap=free", f"-I{resource('runtime') / 'port'}")


@pytest.fixture(autouse=True)
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in.install(tmp_path, monkeypatch)


def record(elf: Path, *, stack_peak: bool = True) -> Run:
    options = RunOptions(stack_peak=stack_peak, limits=LIMITS)
    return run_firmware(elf, "program", RENODE, None, options, lambda _done, _total: None)


def watched(elf: Path) -> Measurements:
    with RenodeMachine(Firmware.load(elf, RENODE), RENODE, Instruments(limits=LIMITS, stack_peak=True)) as machine:
        stop = machine.boot()
        while stop.reason == "yield":
            stop = machine.resume()
        return machine.measure()


def in_unicorn(elf: Path) -> Measurements:
    with UnicornMachine(Firmware.load(elf, TARGET), TARGET, Instruments(limits=LIMITS)) as machine:
        stop = machine.boot()
        while stop.reason == "yield":
            stop = machine.resume()
        return machine.measure()


# ---- the stack -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize(
    "shape",
    ["never_written()", "sink += no_unwind_information(calls_deep, 90)", "sink += conditional_pushes(0)"],
)
def test_the_peak_and_its_frames_are_unicorns(tmp_path: Path, shape: str, level: str) -> None:
    elf = build(tmp_path, "stack_shapes.c", level, f"-DSHAPE={shape}", *WITH_FPU)
    ours, other = watched(elf), in_unicorn(elf)
    assert ours.stack_peak_bytes == other.stack_peak_bytes
    assert [(f.function, f.frame_bytes) for f in ours.stack.backtrace] == [
        (f.function, f.frame_bytes) for f in other.stack.backtrace
    ]
    assert ours.stack.stacks[0].model_dump(exclude={"backtrace"}) == other.stack.stacks[0].model_dump(
        exclude={"backtrace"}
    )
    assert ours.stack_bytes_by_region == other.stack_bytes_by_region


def test_the_record_has_the_stack_of_a_second_run(tmp_path: Path) -> None:
    elf = build(tmp_path, "stacks.c", *WITH_FPU)
    run, plain = record(elf), record(elf, stack_peak=False)
    assert run.stack.second_run
    assert run.memory.stack_peak_bytes is not None
    assert run.memory.stack_peak_bytes == in_unicorn(elf).stack_peak_bytes
    assert sum(frame.frame_bytes or 0 for frame in run.stack.backtrace) == run.memory.stack_peak_bytes
    assert run.memory.static_ram_bytes is not None
    assert run.memory.ram_peak_bytes == run.memory.static_ram_bytes + run.memory.stack_peak_bytes
    assert "stack_peak_bytes" not in run.not_measured
    assert plain.memory.stack_peak_bytes is None
    assert "--stack-peak" in plain.not_measured["stack_peak_bytes"]
    assert any(use.stack_bytes == run.memory.stack_peak_bytes for use in run.memory.by_region)
    writable = {region.name for region in RENODE.board.ram}
    assert all(use.stack_bytes is None for use in plain.memory.by_region if use.name in writable)
    assert not plain.stack.second_run
    assert run.memory.stack_touched_bytes == plain.memory.stack_touched_bytes
    assert run.instructions == plain.instructions


def test_an_option_that_says_nothing_new_elsewhere(tmp_path: Path) -> None:
    elf = build(tmp_path, "stacks.c")
    options = (RunOptions(limits=LIMITS), RunOptions(limits=LIMITS, stack_peak=True))
    plain, asked = (run_firmware(elf, "program", TARGET, None, each, lambda *_: None) for each in options)
    assert plain == asked
    assert asked.memory.stack_peak_bytes is not None
    assert not asked.stack.second_run


def test_progress_is_that_of_both_runs(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    elf = build(tmp_path, "mailbox.c", *WITH_FPU, "-Wl,--defsym=__stack_limit=0x2001F000")
    inputs = EvaluationInputs(np.ones((3, 4, 3), np.float32))
    options = RunOptions(stack_peak=True, limits=LIMITS)
    run = run_firmware(elf, "program", RENODE, inputs, options, lambda *progress: seen.append(progress))
    assert run.memory.stack_peak_bytes is not None
    assert seen == [(done, 6) for done in (0, 1, 2, 3, 3, 4, 5, 6)]


def test_a_block_that_lowers_and_raises_sp_counts_where_it_is_deepest(tmp_path: Path) -> None:
    elf = build(tmp_path, "one_block.c", *WITH_FPU)
    ours, other = watched(elf), in_unicorn(elf)
    assert ours.stack_peak_bytes is not None
    assert ours.stack_peak_bytes >= 9 * 4 + 512 + 64
    assert ours.stack.stacks == other.stack.stacks


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize(
    "flag",
    [
        "-DRUNS=sizes_at_run_time(3)",
        "-DMAIN=on_process_stack(task_stack+sizeof task_stack,job)",
        "-DMAIN=on_process_stack_at_once(task_stack+sizeof task_stack,job)",
        "-DMAIN=on_stack(task_stack+sizeof task_stack,job)",
        "-DMAIN=take_turns()",
    ],
)
def test_every_stack_is_unicorns(tmp_path: Path, flag: str, level: str) -> None:
    elf = build(tmp_path, "stacks.c", level, flag, "-fno-tree-loop-distribute-patterns", *WITH_FPU)
    ours, other = watched(elf), in_unicorn(elf)
    assert [stack.model_dump(exclude={"backtrace"}) for stack in ours.stack.stacks] == [
        stack.model_dump(exclude={"backtrace"}) for stack in other.stack.stacks
    ]
    for one, another in zip(ours.stack.stacks, other.stack.stacks, strict=True):
        # The hook sees an SP known only at run time in the function that is called next, which has pushed nothing.
        frames, expected = ([f for f in stack.backtrace if f.frame_bytes != 0] for stack in (one, another))
        assert [(f.function, f.frame_bytes) for f in frames] == [(f.function, f.frame_bytes) for f in expected]
    assert len(ours.stack.stacks) >= 1 + ("RUNS" not in flag)
    assert ours.stack_bytes_by_region == other.stack_bytes_by_region


def test_the_record_says_what_renode_does_not_check(tmp_path: Path) -> None:
    run = record(build(tmp_path, "stacks.c", *WITH_FPU))
    assert any("CCR.UNALIGN_TRP" in line for line in run.not_checked)


def test_an_endless_run_is_not_made_again(tmp_path: Path) -> None:
    elf = build(tmp_path, "stacks.c", '-DRUNS=({ for (;;) __asm__ volatile("nop"); })', *WITH_FPU)
    run = record(elf)
    assert [fault.kind for fault in run.faults] == ["instruction_budget"]
    assert "did not end by itself (instruction_budget)" in run.not_measured["stack_peak_bytes"]


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("no block hook", "has not run once"),
        ("other second run", r"was not the same: \d+ instructions in the second run, \d+ in the first"),
    ],
)
def test_a_second_run_that_tells_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str, said: str) -> None:
    monkeypatch.setenv("MISBEHAVE", how)
    run = record(build(tmp_path, "stacks.c", *WITH_FPU))
    assert run.faults == []
    assert run.memory.stack_peak_bytes is None
    assert run.memory.ram_peak_bytes is None
    assert run.memory.stack_touched_bytes is not None
    assert re.search(said, run.not_measured["stack_peak_bytes"])


@pytest.mark.parametrize(
    ("second", "said"),
    [
        (7, "7 instructions in the second run, 5 in the first"),
        (5, "5 instructions in both, but not the same answers, instructions per input and faults"),
        (None, "its instructions are not known"),
    ],
)
def test_what_differs_in_a_second_run_is_said(second: int | None, said: str) -> None:
    runs = [Measurements(instructions=Instructions(total=total)) for total in (5, second)]
    reason = add_stack(*runs, same=False).not_measured["stack_peak_bytes"]
    assert reason == f"the second run, for the stack, was not the same: {said}"


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("refuse include", r"include @.*stack_watch\.cs.*Parameters did not match"),
        ("refuse BeginStackWatch", r"BeginStackWatch .*Parameters did not match"),
    ],
)
def test_a_second_run_that_fails_costs_no_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], how: str, said: str
) -> None:
    monkeypatch.setenv("MISBEHAVE", how)
    elf, file = build(tmp_path, "stacks.c", *WITH_FPU), tmp_path / "run.json"
    assert record(elf, stack_peak=False).faults == []
    monkeypatch.setattr(sys, "argv", ["emu", "run", str(elf), "-t", RENODE.name, "--stack-peak", "--json", str(file)])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 3
    assert re.search(f"error: second run: Renode .* cannot run stm32h7-renode: .*{said}", capfd.readouterr().err)
    (run,) = read_run_file(file).runs
    assert run.faults == []
    assert run.instructions.total
    assert re.search(f"the second run, for the stack, failed: .*{said}", run.not_measured["stack_peak_bytes"])
    assert [verdict.name for verdict in run.verdicts if not verdict.ok] == ["every part was made"]


# ---- the heap --------------------------------------------------------------------------------------------------------


def test_a_counted_heap_is_what_unicorn_follows(tmp_path: Path) -> None:
    counted = record(build(tmp_path, "counted_heap.c", *COUNTED, *WITH_FPU))
    elf = build(tmp_path, "counted_heap.c", *WITH_FPU)
    other = run_firmware(elf, "program", TARGET, None, RunOptions(), lambda *_: None)
    names = ("attached", "peak_live_bytes", "peak_beside_static_bytes", "allocations", "frees", "failed_allocations")
    for name in (*names, "live_at_exit_bytes"):
        assert getattr(counted.heap, name) == getattr(other.heap, name), name
    assert counted.heap.peak_live_bytes == 1100
    assert counted.heap.live_at_exit_bytes == 30
    assert (counted.heap.heap_region_bytes, counted.heap.overhead_bytes) == (None, None)
    assert {"heap_region_bytes", "overhead_bytes", "leaks"} <= counted.not_measured.keys()
    by_region = {use.name: use.heap_bytes for use in counted.memory.by_region}
    assert by_region["axi"] is None
    assert counted.memory.ram_peak_bytes is None, "the allocator takes more than the bytes that were asked for"
    assert other.memory.ram_peak_bytes is not None
    assert counted.not_measured["ram_peak_bytes"] == counted.not_measured["overhead_bytes"]


def test_a_heap_that_nobody_counts_is_not_measured(tmp_path: Path) -> None:
    run = record(build(tmp_path, "counted_heap.c", *WITH_FPU))
    assert not run.heap.attached
    assert run.memory.heap_peak_bytes is None
    assert run.memory.ram_peak_bytes is None
    assert "runtime/port/heap.h" in run.not_measured["heap_peak_bytes"]


@pytest.mark.parametrize(
    "counters",
    [
        pytest.param((200, 100, 2, 1, 0, 0x2400_0000), id="more is live than ever was"),
        pytest.param((0, 100, 1, 2, 0, 0x2400_0000), id="more is freed than was allocated"),
        pytest.param((0, 100, 1, 1, 0, 0), id="no block, which is where the ITCM begins"),
    ],
)
def test_counters_that_cannot_be_are_no_heap(tmp_path: Path, counters: tuple[int, ...]) -> None:
    firmware = Firmware.load(build(tmp_path, "counted_heap.c", *COUNTED, *WITH_FPU), RENODE)
    measured = measure_heap(firmware, lambda _address, _size: struct.pack("<6I", *counters))
    assert not measured.heap.attached
    assert measured.region is None
    assert "contradict each other" in measured.not_measured["heap_peak_bytes"]


# ---- pytest ----------------------------------------------------------------------------------------------------------


def test_pytest_makes_the_second_run_where_a_limit_is_about_it(tmp_path: Path) -> None:
    elf = build(tmp_path, "stacks.c", *WITH_FPU)
    peak = in_unicorn(elf).stack_peak_bytes
    tests = [
        f"@pytest.mark.limit_stack({peak})\ndef test_enough(emu_run): emu_run('stacks.elf')",
        f"@pytest.mark.limit_ram({peak})\ndef test_too_little(emu_run): emu_run('stacks.elf')",
        "@pytest.mark.limit_flash('1 MB')\n"
        "def test_other(emu_run): assert emu_run('stacks.elf').memory.stack_peak_bytes is None",
    ]
    (tmp_path / "test_stacks.py").write_text("import pytest\n\n" + "\n\n".join(tests) + "\n")
    plugin = (
        []
        if any(each.value == "emu.pytest_plugin" for each in entry_points(group="pytest11"))
        else ["-p", "emu.pytest_plugin"]
    )
    command = [sys.executable, "-m", "pytest", *plugin, "--emu-target=stm32h7-renode", "--rootdir=.", "-q"]
    path = str(Path(__file__).parents[2])
    ran = subprocess.run(
        command, cwd=tmp_path, env=os.environ | {"PYTHONPATH": path}, capture_output=True, text=True, check=False
    )
    assert "1 failed, 2 passed" in ran.stdout, ran.stdout + ran.stderr
    assert "RAM peak: " in ran.stdout
    assert f"limit {peak:,} B" in ran.stdout
