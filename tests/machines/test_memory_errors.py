"""What a finding of the memory checker tells: the place, the memory, where an undefined value comes from, how often."""

from pathlib import Path

import pytest
from builds import LEVELS, TARGET, firmware, line_of

from emu.instruments import Instruments
from emu.machines import Limits, Measurements
from emu.machines.unicorn import UnicornMachine
from emu.record import MemoryFinding

SOURCE, STACKS = "memory_errors.c", "stacks.c"


def check(directory: Path, source: str, runs: str, *flags: str) -> tuple[Measurements, list[MemoryFinding]]:
    program = firmware(directory, source, f"-DRUNS={runs}", *flags)
    with UnicornMachine(program, TARGET, Instruments(limits=Limits(seconds=20), memcheck=True)) as machine:
        stop = machine.boot()
        measured = machine.measure()
    assert (stop.reason, stop.exit_status) == ("exit", 0), measured.faults
    assert measured.memory_check is not None
    return measured, measured.memory_check.findings


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize(
    ("function", "mark", "culprits"),
    [
        ("copies_too_much", "memcpy", {"memcpy"}),
        ("copies_a_long_text", "strcpy", {"strcpy"}),
        ("prints_too_much", "sprintf", {"memmove", "strcpy"}),  # GCC makes a strcpy of it
    ],
)
def test_an_overrun_inside_the_library_names_the_line_that_called_it(
    tmp_path: Path, level: str, function: str, mark: str, culprits: set[str]
) -> None:
    # -fno-builtin-memcpy: a copy of a known size would be inlined.
    _, findings = check(tmp_path, SOURCE, f"overruns({function})", level, "-fno-builtin-memcpy", "-w")
    first = findings[0]
    assert (first.kind, first.times) == ("heap_out_of_bounds_write", 1)
    assert first.function in culprits
    assert first.backtrace[0].function == first.function
    assert (function, line_of(SOURCE, mark)) in [(frame.function, frame.line) for frame in first.backtrace[1:]]
    assert [frame.function for frame in first.backtrace[-2:]] == ["main", "reset_handler"]
    assert first.memory is not None
    assert first.memory.startswith("just behind a block of 24 bytes, allocated by overruns (")
    assert first.memory.endswith(f"/{SOURCE}:{line_of(SOURCE, 'block')})")


def test_an_error_a_million_times_is_one_finding(tmp_path: Path) -> None:
    _, (finding,) = check(tmp_path, SOURCE, "many_times(1000000)")
    assert (finding.function, finding.line) == ("many_times", line_of(SOURCE, "many_times"))
    assert finding.times == 1_000_000


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize(
    ("runs", "memory"),
    [
        ("local_decides()", "the stack frame of local_decides"),
        ("block_decides()", "12 bytes into a block of 40 bytes, allocated by get ("),
        ("variable_decides()", "0 bytes into `forgotten` (4 bytes)"),
    ],
)
def test_an_undefined_value_comes_from_the_memory_that_nobody_set(
    tmp_path: Path, level: str, runs: str, memory: str
) -> None:
    section = '".mailbox"' if runs.startswith("variable") else '".noinit"'
    _, (finding,) = check(tmp_path, SOURCE, runs, level, f"-DSECTION={section}")
    assert (finding.kind, finding.line) == ("uninitialised_branch", line_of(SOURCE, "decide"))
    origin = finding.origin
    assert origin is not None
    assert (origin.function, origin.line) == ("decide", line_of(SOURCE, "load"))
    assert origin.memory.startswith(memory)
    if "allocated" in memory:
        assert origin.memory.endswith(f"/{SOURCE}:{line_of(SOURCE, 'get')})")


def test_what_is_kept_over_a_reset_counts_as_set(tmp_path: Path) -> None:
    _, findings = check(tmp_path, SOURCE, "variable_decides()")
    assert findings == []


# ---- several stacks --------------------------------------------------------------------------------------------------

ON_PROCESS_STACK = "-DMAIN=on_process_stack(task_stack+sizeof task_stack,job)"
ON_ARRAY = "-DINITIAL_SP=first_stack+2048"


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize(
    ("runs", "flags"),
    [
        ("sizes_at_run_time(20)", [ON_PROCESS_STACK]),
        ("deep(10)", [ON_PROCESS_STACK.replace("stack(", "stack_at_once(", 1)]),
        ("take_turns()", []),
        ("take_turns()", [ON_ARRAY]),
        ("run_from_heap()", []),
    ],
    ids=["PSP", "PSP at once", "coroutines", "coroutines from an array", "stack in the heap"],
)
def test_nothing_is_found_where_stacks_take_turns(tmp_path: Path, level: str, runs: str, flags: list[str]) -> None:
    measured, findings = check(tmp_path, STACKS, runs, level, *flags)
    assert findings == []
    assert len(measured.stack.stacks) > 1


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("before", ["", "take_turns(),"], ids=["alone", "behind other stacks"])
@pytest.mark.parametrize(
    ("runs", "kind", "mark"),
    [("unset_local()", "uninitialised_branch", "unset_local"), ("lost_local()", "read_below_stack", "lost_local")],
)
def test_a_local_of_the_main_stack_is_followed_over_a_change_of_stack(
    tmp_path: Path, level: str, before: str, runs: str, kind: str, mark: str
) -> None:
    _, findings = check(tmp_path, STACKS, before + runs, level, "-w")
    assert [(finding.kind, finding.line) for finding in findings] == [(kind, line_of(STACKS, mark))]


def test_a_local_that_was_not_set_before_the_change_is_not_set_behind_it(tmp_path: Path) -> None:
    for calls, lines in (("set", []), ("leave", [line_of(STACKS, "set_elsewhere")])):
        _, findings = check(tmp_path, STACKS, f"set_elsewhere({calls})")
        assert [finding.line for finding in findings] == lines
