"""What a finding of the memory checker tells: the place, the memory, where an undefined value comes from, how often."""

from pathlib import Path

import pytest
from builds import LEVELS, TARGET, build, line_of

from emu.firmware import Firmware
from emu.instruments import Instruments
from emu.machines import Limits, Measurements
from emu.machines.unicorn import UnicornMachine
from emu.record import MemoryFinding
from emu.run import RunOptions, run_firmware
from emu.suppressions import Suppression, suppress
from emu.targets import Target

SOURCE, STACKS, MISTAKES = "memory_errors.c", "stacks.c", "mistakes.c"


def check(
    directory: Path, source: str, runs: str, *flags: str, target: Target = TARGET
) -> tuple[Measurements, list[MemoryFinding]]:
    program = Firmware.load(build(directory, source, f"-DRUNS={runs}", *flags), target)
    with UnicornMachine(program, target, Instruments(limits=Limits(seconds=20), memcheck=True)) as machine:
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
    assert first.memory.startswith("right after a block of 24 bytes, allocated by overruns (")
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
    _, (finding,) = check(tmp_path, SOURCE, runs, level)
    assert (finding.kind, finding.line) == ("uninitialised_branch", line_of(SOURCE, "decide"))
    origin = finding.origin
    assert origin is not None
    assert (origin.function, origin.line) == ("decide", line_of(SOURCE, "load"))
    assert origin.memory.startswith(memory)
    if "allocated" in memory:
        assert origin.memory.endswith(f"/{SOURCE}:{line_of(SOURCE, 'get')})")


def keeping(*sections: str) -> Target:
    return Target(TARGET.board.model_copy(update={"kept_over_reset": sections}), "unicorn")


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("section", [".noinit", ".kept_ram"])
def test_a_counter_that_no_magic_word_guards_is_a_finding(tmp_path: Path, level: str, section: str) -> None:
    _, findings = check(tmp_path, SOURCE, "counts_boots_of_any_number()", level, f'-DSECTION="{section}"')
    (finding,) = findings
    assert (finding.kind, finding.function) == ("uninitialised_branch", "counts_boots_of_any_number")
    assert finding.line == line_of(SOURCE, "boots")
    assert finding.origin is not None
    assert finding.origin.memory == f"0 bytes into `kept_boots` (4 bytes), in {section}"


@pytest.mark.parametrize("level", LEVELS)
def test_the_test_of_a_magic_word_is_the_only_finding_and_can_be_accepted(tmp_path: Path, level: str) -> None:
    measured, findings = check(tmp_path, SOURCE, "counts_boots()", level)
    assert [(finding.function, finding.line) for finding in findings] == [("counts_boots", line_of(SOURCE, "magic"))]
    assert "suppress the finding, or name .noinit in kept_over_reset of the board file" in findings[0].detail
    assert measured.memory_check is not None
    accepted = Suppression(kind="uninitialised_*", function="counts_boots", reason="looks for the magic word")
    assert suppress(measured.memory_check, [accepted]).findings == []


def test_the_verdict_names_the_sections_that_count_as_set(tmp_path: Path) -> None:
    elf = build(tmp_path, SOURCE, "-DRUNS=variable_decides()")
    run = run_firmware(elf, "program", keeping(".noinit"), None, RunOptions(memcheck=True), lambda _done, _of: None)
    values = [verdict.value for verdict in run.verdicts if verdict.name == "no memory error"]
    assert values == ["0 memory errors; not looked for: uninitialised values in .noinit"]


@pytest.mark.parametrize(
    ("kept", "number"), [((".noinit",), 0), ((".no",), 0), ((), 1), ((".persistent",), 1)], ids=str
)
def test_a_board_says_which_sections_a_reset_keeps(tmp_path: Path, kept: tuple[str, ...], number: int) -> None:
    measured, findings = check(tmp_path, SOURCE, "variable_decides()", target=keeping(*kept))
    assert len(findings) == number
    assert measured.memory_check is not None
    assert measured.memory_check.taken_as_set == [".noinit"] * (number == 0)
    for finding in findings:
        assert "; at power-on .noinit holds anything" in finding.detail
        assert finding.origin is not None
        assert finding.origin.memory == "0 bytes into `forgotten` (4 bytes), in .noinit"


# ---- memcpy between places that overlap ------------------------------------------------------------------------------


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("library", ["--specs=nano.specs", "--specs=nosys.specs"])
@pytest.mark.parametrize(
    ("runs", "mark", "shared"),
    [("shifts_by(four)", "overlap", 8), ("shifts_back_by(four)", "back", 8), ("shifts_by(twelve-1)", "overlap", 1)],
)
def test_a_copy_onto_itself_names_the_line_that_called_memcpy(
    tmp_path: Path, level: str, library: str, runs: str, mark: str, shared: int
) -> None:
    _, (finding,) = check(tmp_path, SOURCE, runs, level, library)
    assert (finding.kind, finding.function, finding.times) == ("overlapping_copy", "memcpy", 1)
    assert "memcpy of 12 bytes from 0x" in finding.detail
    assert f": {shared} byte{'s' * (shared != 1)} are in both" in finding.detail
    assert finding.backtrace[1].line == line_of(SOURCE, mark)
    assert finding.memory is not None
    assert finding.memory.endswith("into `shifted` (32 bytes)")


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("runs", ["shifts_by(none)", "shifts_by(twelve)", "shifts_back_by(twelve)", "moves()"])
def test_places_that_are_one_or_apart_and_memmove_are_no_finding(tmp_path: Path, level: str, runs: str) -> None:
    assert check(tmp_path, SOURCE, runs, level)[1] == []


def test_a_memcpy_that_is_memmove_is_no_finding(tmp_path: Path) -> None:
    assert check(tmp_path, SOURCE, "shifts_by(four)", "-Wl,--defsym=memcpy=memmove")[1] == []


# ---- one mistake, one finding ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize(
    ("runs", "kind", "places", "others"),
    [
        ("measures_a_freed_text()", "use_after_free_read", ["measures_a_freed_text"], 0),
        ("measures_an_unset_text()", "uninitialised_branch", ["measures_an_unset_text"], 0),
        ("makes_a_tensor_of_nothing()", "null_pointer_write", ["make_tensor"], 2),
        ("misses_two_blocks()", "heap_out_of_bounds_write", ["one", "other"], 0),
        ("forgets_two_locals()", "uninitialised_branch", ["first local", "second local"], 0),
        ("queues_what_was_freed()", "use_after_free_write", ["push_front"], 0),
        ("sends_a_frame()", "uninitialised_output", ["put_byte"], 0),
        ("casts_bytes_to_floats()", "unaligned_access", ["weighted"], None),
    ],
)
def test_one_mistake_is_one_finding(
    tmp_path: Path, level: str, runs: str, kind: str, places: list[str], others: int | None
) -> None:
    _, findings = check(tmp_path, MISTAKES, runs, level, "-w", "-fno-builtin-strlen")
    assert [finding.kind for finding in findings] == [kind] * len(places)
    for finding, place in zip(findings, places, strict=True):
        line = line_of(MISTAKES, place)
        assert line in [finding.line, *(frame.line for frame in finding.backtrace[1:2])]
        assert others is None or len(finding.others) == others
        assert {other.kind for other in finding.others} <= {kind}
        assert all(other.line is not None and other.line > line for other in finding.others) or others is None


@pytest.mark.parametrize("level", LEVELS)
def test_one_instruction_that_misses_a_block_and_uses_a_freed_one_makes_two_mistakes(
    tmp_path: Path, level: str
) -> None:
    _, findings = check(tmp_path, MISTAKES, "counts_missed_and_freed_bytes()", level, "-w")
    assert [(finding.kind, finding.times) for finding in findings] == [
        ("heap_out_of_bounds_read", 1),
        ("use_after_free_read", 2),
    ]
    assert {finding.line for finding in findings} == {line_of(MISTAKES, "count_byte")}
    missed, freed = (str(finding.memory) for finding in findings)
    assert missed.startswith("right after a block of 8 bytes")
    assert freed.startswith("16 bytes into a block of 32 bytes")


@pytest.mark.parametrize("level", LEVELS)
def test_one_call_of_memcpy_that_misses_a_block_and_uses_a_freed_one_makes_two_mistakes(
    tmp_path: Path, level: str
) -> None:
    _, findings = check(tmp_path, MISTAKES, "copies_to_small_and_freed()", level, "-w")
    assert [finding.kind for finding in findings] == ["heap_out_of_bounds_write", "use_after_free_write"]
    small, freed = (str(finding.memory) for finding in findings)
    assert small.startswith("right after a block of 8 bytes")
    assert freed.startswith("0 bytes into a block of 32 bytes")
    assert f"/{MISTAKES}:{line_of(MISTAKES, 'free')}" in freed
    for finding, owner in zip(findings, ("4 bytes before a block of 64", "bytes into a block of 32"), strict=True):
        assert finding.backtrace[1].line == line_of(MISTAKES, "put")
        assert finding.others
        assert all(owner in str(other.memory) for other in finding.others)


@pytest.mark.parametrize("level", LEVELS)
def test_one_copy_over_several_blocks_is_one_mistake(tmp_path: Path, level: str) -> None:
    _, (finding,) = check(tmp_path, MISTAKES, "copies_over_its_neighbours()", level, "-w")
    assert finding.kind == "heap_out_of_bounds_write"
    assert str(finding.memory).startswith("right after a block of 8 bytes")
    assert "use_after_free_write" in {other.kind for other in finding.others}


@pytest.mark.parametrize("level", LEVELS)
def test_a_copy_that_is_too_long_is_one_finding_of_its_first_write(tmp_path: Path, level: str) -> None:
    _, (finding,) = check(tmp_path, MISTAKES, "receives_too_much()", level)
    assert (finding.kind, finding.function, finding.backtrace[1].function) == (
        "heap_out_of_bounds_write",
        "memcpy",
        "receive",
    )
    assert finding.backtrace[1].line == line_of(MISTAKES, "receive")
    assert finding.memory is not None
    assert finding.memory.startswith("right after a block of 32 bytes, allocated by receives_too_much (")
    assert len(finding.others) > 10
    assert {"read_below_stack", "heap_out_of_bounds_write"} <= {other.kind for other in finding.others}
    assert all(other.times > 0 for other in finding.others)
    for kind, matches in (("heap_*", False), ("*_write", False), ("*", True)):
        assert Suppression(kind=kind, reason="a test").matches(finding) == matches, kind


def test_a_miss_of_the_last_variable_names_it_and_not_the_stack(tmp_path: Path) -> None:
    _, (finding,) = check(tmp_path, MISTAKES, "misses_the_last_variable(1032)")
    assert (finding.kind, finding.line) == ("write_below_stack", line_of(MISTAKES, "misses_the_last_variable"))
    assert finding.memory == "1,000 bytes after `last` (32 bytes), in the stack's memory"
    assert "bytes below SP: no object is there, and no frame" in finding.detail
    assert finding.address is not None
    distance = int(finding.detail.split(", ", 1)[1].split(" bytes below", 1)[0].replace(",", ""))
    assert 0x20020000 - 64 < finding.address + distance <= 0x20020000


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
